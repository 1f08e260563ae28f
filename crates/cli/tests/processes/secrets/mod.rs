//! Secrets are planted in every input that may hold one, in every wrong way, and looked for in
//! all that comes out.

mod forms;
mod inputs;
mod library;
mod programs;
mod search;
mod two_nodes;

use std::collections::BTreeSet;

use inputs::Planted;

/// What came out, and what of it showed a secret.
struct Outcome<'a> {
    planted: &'a Planted,
    inputs: BTreeSet<&'static str>,
    forms: BTreeSet<String>,
    outputs: BTreeSet<&'static str>,
    looked_at: usize,
    leaks: Vec<String>,
    /// Inputs, forms and outputs that leaked, for a first look.
    leaking: BTreeSet<(String, &'static str)>,
}

impl<'a> Outcome<'a> {
    fn new(planted: &'a Planted) -> Self {
        Self {
            planted,
            inputs: BTreeSet::new(),
            forms: BTreeSet::new(),
            outputs: BTreeSet::new(),
            looked_at: 0,
            leaks: Vec::new(),
            leaking: BTreeSet::new(),
        }
    }

    /// Looks at one output of an input.
    fn look(&mut self, input: &'static str, form: &str, output: &'static str, said: &[u8]) {
        self.looked_at += 1;
        self.inputs.insert(input);
        if !self.forms.contains(form) {
            self.forms.insert(form.to_owned());
        }
        self.outputs.insert(output);
        if let Some(leak) = self.planted.searcher.find(said) {
            self.leaking.insert((input.to_owned(), output));
            let context = leak.context;
            self.leaks.push(format!("{input}; {form}; {output}: {} in: {context}", leak.form));
        }
    }

    /// Says how much was looked at, and fails if a secret was shown.
    fn end(self, what: &str) {
        println!(
            "{what}: {} inputs x {} forms x {} outputs, {} texts looked at, {} leaks",
            self.inputs.len(),
            self.forms.len(),
            self.outputs.len(),
            self.looked_at,
            self.leaks.len()
        );
        let some: Vec<_> = self.leaks.iter().take(40).map(String::as_str).collect();
        assert!(self.leaks.is_empty(), "{:#?}\n{}", self.leaking, some.join("\n"));
        assert!(self.looked_at > 0);
    }
}
