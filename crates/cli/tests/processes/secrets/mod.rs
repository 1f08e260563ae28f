//! Plants secrets in every input that may hold one, in every malformed way, and searches all
//! outputs for them.

mod forms;
mod inputs;
mod library;
mod programs;
mod search;
mod two_nodes;

use std::collections::BTreeSet;

use inputs::Planted;

/// The outputs of a test, and those that showed a secret.
struct Outcome<'a> {
    planted: &'a Planted,
    inputs: BTreeSet<&'static str>,
    forms: BTreeSet<String>,
    outputs: BTreeSet<&'static str>,
    texts_checked: usize,
    leaks: Vec<String>,
    /// The pairs of input and output that leaked, as a summary.
    leaking: BTreeSet<(String, &'static str)>,
}

impl<'a> Outcome<'a> {
    fn new(planted: &'a Planted) -> Self {
        Self {
            planted,
            inputs: BTreeSet::new(),
            forms: BTreeSet::new(),
            outputs: BTreeSet::new(),
            texts_checked: 0,
            leaks: Vec::new(),
            leaking: BTreeSet::new(),
        }
    }

    /// Searches one output that an input caused.
    fn check(&mut self, input: &'static str, form: &str, output: &'static str, text: &[u8]) {
        self.texts_checked += 1;
        self.inputs.insert(input);
        if !self.forms.contains(form) {
            self.forms.insert(form.to_owned());
        }
        self.outputs.insert(output);
        if let Some(leak) = self.planted.searcher.find(text) {
            self.leaking.insert((input.to_owned(), output));
            let context = leak.context;
            self.leaks.push(format!("{input}; {form}; {output}: {} in: {context}", leak.form));
        }
    }

    /// Prints how much was searched, and fails if an output showed a secret.
    fn assert_no_leaks(self, what: &str) {
        println!(
            "{what}: {} inputs x {} forms x {} outputs, {} texts looked at, {} leaks",
            self.inputs.len(),
            self.forms.len(),
            self.outputs.len(),
            self.texts_checked,
            self.leaks.len()
        );
        let some: Vec<_> = self.leaks.iter().take(40).map(String::as_str).collect();
        assert!(self.leaks.is_empty(), "{:#?}\n{}", self.leaking, some.join("\n"));
        assert!(self.texts_checked > 0);
    }
}
