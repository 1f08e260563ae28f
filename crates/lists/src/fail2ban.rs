//! What `fail2ban-client banned` prints: a Python list of dictionaries, one a jail, from
//! its name to its addresses.

use crate::{Ends, Entry, List, ListError, MAX_LINE, bounded, network};

const FORMAT: &str = "output of `fail2ban-client banned`";

pub(crate) fn read(text: &str) -> Result<List, ListError> {
    let mut list = List::default();
    let mut reader = Reader { text, at: 0 };
    let mut number = 0;
    reader.list('[', ']', &mut |reader| {
        reader.list('{', '}', &mut |reader| {
            let jail = bounded(&reader.string()?);
            reader.expect(':')?;
            reader.list('[', ']', &mut |reader| {
                let address = reader.string()?;
                number += 1;
                match network(&address) {
                    Ok(network) => {
                        let (reason, origin) = (jail.clone(), "fail2ban".into());
                        let ends = Ends::Never;
                        list.push(Entry { line: number, network, reason, origin, ends })
                    }
                    Err(why) => {
                        list.refuse(number, why);
                        Ok(())
                    }
                }
            })
        })
    })?;
    match reader.peek() {
        None => Ok(list),
        Some(_) => Err(reader.wrong("the end")),
    }
}

/// What is read of Python: strings, in lists and dictionaries as deep as these are printed.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed.chars().next()
    }

    fn takes(&mut self, c: char) -> bool {
        let is_it = self.peek() == Some(c);
        if is_it {
            self.at += c.len_utf8();
        }
        is_it
    }

    fn expect(&mut self, c: char) -> Result<(), ListError> {
        if self.takes(c) { Ok(()) } else { Err(self.wrong(&format!("`{c}`"))) }
    }

    fn line(&self) -> usize {
        self.text[..self.at].matches('\n').count() + 1
    }

    fn wrong(&mut self, expected: &str) -> ListError {
        let found = match self.peek() {
            Some('[' | '{') => "it is nested too deep there".to_owned(),
            Some(c) => format!("`{c}` is there"),
            None => "it ends there".to_owned(),
        };
        let why = format!("line {}: expected {expected}, but {found}", self.line());
        ListError::NotThis { format: FORMAT, why }
    }

    /// Items between brackets, with commas between them.
    fn list(
        &mut self,
        open: char,
        close: char,
        item: &mut dyn FnMut(&mut Self) -> Result<(), ListError>,
    ) -> Result<(), ListError> {
        self.expect(open)?;
        while !self.takes(close) {
            item(self)?;
            if !self.takes(',') {
                return self.expect(close);
            }
        }
        Ok(())
    }

    /// A string in quotes of one of the two sorts. A backslash stands before what is taken as
    /// it is: names of jails have nothing else to escape.
    fn string(&mut self) -> Result<String, ListError> {
        let Some(quote @ ('\'' | '"')) = self.peek() else {
            return Err(self.wrong("a text in quotes"));
        };
        let begin = self.at + 1;
        let (mut text, mut is_escaped) = (String::new(), false);
        for (at, c) in self.text[begin..].char_indices() {
            if at > MAX_LINE {
                let (line, what) = (self.line(), "a text has more bytes");
                return Err(ListError::Limit { line, what, limit: MAX_LINE });
            }
            match c {
                '\\' if !is_escaped => {
                    is_escaped = true;
                    continue;
                }
                c if c == quote && !is_escaped => {
                    self.at = begin + at + 1;
                    return Ok(text);
                }
                c => text.push(c),
            }
            is_escaped = false;
        }
        self.at = self.text.len();
        Err(self.wrong("the end of a text in quotes"))
    }
}
