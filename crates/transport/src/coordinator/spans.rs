//! The structure of a text: the position of each key and value, and the bare words to be quoted.
//! The parser is iterative, so deep nesting uses no stack.

use std::collections::HashMap;
use std::ops::Range;

use mailmesh_secrets::{is_secret_name, redact};
use serde_json::Value;

use super::Warning;
use super::error::{ConfigError, ConfigErrorKind};
use super::other_format::{first_line, other_format};
use super::source::Source;
use super::tokens::{Token, TokenKind, syntax, tokens};

/// Deepest nesting accepted.
const MAX_DEPTH: usize = 64;
/// Longest token that an error shows, in characters.
const MAX_SHOWN_CHARS: usize = 40;

/// The structure of one text.
#[derive(Debug, Default)]
pub(super) struct Spans {
    keys: HashMap<Vec<String>, Range<usize>>,
    values: HashMap<Vec<String>, Range<usize>>,
    /// Bare words in places where a string is meant.
    bare: Vec<BareWord>,
}

/// A word without quotes.
#[derive(Debug)]
struct BareWord {
    span: Range<usize>,
    is_secret: bool,
}

/// An open bracket.
struct Open {
    bracket: u8,
    at: Range<usize>,
    /// Index of the current element, for arrays.
    index: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value, or the end of an array.
    ValueOrEnd,
    /// A key, or the end of an object.
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}

impl Spans {
    pub(super) fn of(source: &Source<'_>) -> Result<Self, ConfigError> {
        let tokens = match tokens(source) {
            // If the tokens fail and the first line looks like another format, report that format.
            Err(error) => {
                let (line, begin) = first_line(source.text());
                let other = other_format(source, &[]);
                let is_other = !line.starts_with('{') && other != ConfigErrorKind::NotAnObject;
                let end = begin + line.len();
                return Err(if is_other { source.error_at(begin..end, other) } else { error });
            }
            Ok(tokens) => tokens,
        };
        let Some(first) = tokens.first() else {
            return Err(ConfigError::new(ConfigErrorKind::Empty { name: source.name().into() }));
        };
        if first.kind != TokenKind::Punctuation(b'{') {
            let kind = other_format(source, &tokens);
            let begin = first_line(source.text()).1;
            let is_comment = source.text()[first.span.clone()].starts_with('#');
            let span = if is_comment { begin..begin + 1 } else { first.span.clone() };
            return Err(source.error_at(span, kind));
        }
        let mut spans = Self::default();
        spans.walk(source, &tokens)?;
        Ok(spans)
    }

    fn walk(&mut self, source: &Source<'_>, tokens: &[Token]) -> Result<(), ConfigError> {
        let mut walk =
            Walk { spans: self, source, open: Vec::new(), path: Vec::new(), expect: Expect::Value };
        let mut end = 0;
        for token in tokens {
            walk.step(token, end)?;
            end = token.span.end;
        }
        match walk.open.pop() {
            Some(last) => Err(unclosed(source, last)),
            None => Ok(()),
        }
    }

    /// The text with bare words quoted.
    pub(super) fn repaired(&self, source: &Source<'_>) -> String {
        quote(source.text(), 0, self.bare.iter().map(|word| &word.span))
    }

    /// The value, as the json5 crate reads the repaired text.
    pub(super) fn parse(&self, source: &Source<'_>) -> Result<Value, ConfigError> {
        json5::from_str(&self.repaired(source)).map_err(|error| {
            let json5::Error::Message { msg, location } = error;
            let at = location.map_or(0, |l| source.offset_of(l.line, l.column));
            // pest's message draws the line; its last line states what was expected.
            let last = msg.lines().last().unwrap_or_default().trim().strip_prefix("= ");
            let word = &source.text()[at..];
            let end = word.find(|c: char| c.is_whitespace() || ",]}".contains(c));
            let end = end.unwrap_or(word.len());
            if last.is_none() && word.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c))
            {
                let message = format!(
                    "this number is out of range; a whole number is from {} to {}",
                    i64::MIN,
                    i64::MAX
                );
                return syntax(source, at..at + end, &message);
            }
            let last = last.map(|last| format!(": {last}")).unwrap_or_default();
            syntax(source, at..at + 1, &format!("not JSON5{last}"))
        })
    }

    /// One warning for each line that has bare words; it names the first of them.
    pub(super) fn warnings(&self, source: &Source<'_>) -> Vec<Warning> {
        let mut warnings: Vec<Warning> = Vec::new();
        let mut rest = self.bare.as_slice();
        while let [BareWord { span, is_secret }, ..] = rest {
            let is_secret = *is_secret;
            let place = source.place(span.clone());
            let line = source.line(span.start);
            let here = rest.partition_point(|word| word.span.end <= line.end);
            let (on_line, later) = rest.split_at(here.max(1));
            rest = later;
            let word = redact(&source.text()[span.clone()]);
            let word = if is_secret { "***" } else { &word };
            warnings.push(Warning {
                message: format!("`{word}` must be in quotes in JSON5; taken as \"{word}\""),
                corrected: Some(corrected(source, line.start, place.line - 1, on_line)),
                place: Some(place),
            });
        }
        warnings
    }

    /// The position of a key; the start of the text if the key does not exist.
    pub(super) fn key<S: AsRef<str>>(&self, path: &[S]) -> Range<usize> {
        Self::find(&self.keys, path)
    }

    /// The position of a value; the start of the text if the value does not exist.
    pub(super) fn value<S: AsRef<str>>(&self, path: &[S]) -> Range<usize> {
        Self::find(&self.values, path)
    }

    /// The paths of all keys of this name.
    pub(super) fn paths_of(&self, key: &str) -> impl Iterator<Item = &Vec<String>> {
        self.keys.keys().filter(move |path| path.last().is_some_and(|last| last == key))
    }

    /// The path of the value or key that begins at this offset.
    pub(super) fn path_at(&self, at: usize) -> Option<&Vec<String>> {
        let starts = |(_, span): &(&Vec<String>, &Range<usize>)| span.start == at;
        self.values.iter().find(starts).or_else(|| self.keys.iter().find(starts)).map(|(p, _)| p)
    }

    fn find<S: AsRef<str>>(map: &HashMap<Vec<String>, Range<usize>>, path: &[S]) -> Range<usize> {
        let path: Vec<String> = path.iter().map(|part| part.as_ref().to_owned()).collect();
        map.get(&path).cloned().unwrap_or(0..1)
    }
}

/// A walk over the tokens of a text.
struct Walk<'a> {
    spans: &'a mut Spans,
    source: &'a Source<'a>,
    open: Vec<Open>,
    /// The path of the current key or element.
    path: Vec<String>,
    expect: Expect,
}

impl Walk<'_> {
    /// Takes the next token; `end` is the end of the token before it.
    fn step(&mut self, token: &Token, end: usize) -> Result<(), ConfigError> {
        match (self.expect, token.kind) {
            (Expect::Value | Expect::ValueOrEnd, TokenKind::Punctuation(b @ (b'{' | b'['))) => {
                self.open_bracket(token, b)
            }
            (
                Expect::ValueOrEnd | Expect::KeyOrEnd | Expect::CommaOrEnd,
                TokenKind::Punctuation(b @ (b'}' | b']')),
            ) => self.close_bracket(token, b),
            (Expect::Value | Expect::ValueOrEnd, TokenKind::Text) => {
                self.value(token);
                Ok(())
            }
            (Expect::Value | Expect::ValueOrEnd, TokenKind::Word) => self.word(token),
            (Expect::KeyOrEnd, TokenKind::Text | TokenKind::Word) => self.key(token),
            (Expect::Colon, TokenKind::Punctuation(b':')) => {
                self.expect = Expect::Value;
                Ok(())
            }
            (Expect::CommaOrEnd, TokenKind::Punctuation(b',')) => {
                self.comma();
                Ok(())
            }
            (Expect::Nothing, _) => {
                let message = "the configuration ends before this; expected nothing more";
                Err(syntax(self.source, token.span.clone(), message))
            }
            (Expect::CommaOrEnd, TokenKind::Text | TokenKind::Word) => {
                // The mistake is directly after the previous value.
                let message = "expected `,` between this value and the next";
                Err(syntax(self.source, end..end + 1, message))
            }
            (expected, _) => {
                let found = self.shown(token);
                self.fail(token, &format!("expected {}, found `{found}`", expected.describe()))
            }
        }
    }

    fn open_bracket(&mut self, token: &Token, bracket: u8) -> Result<(), ConfigError> {
        let span = token.span.clone();
        if self.open.len() >= MAX_DEPTH {
            return Err(self.source.error_at(span, ConfigErrorKind::TooDeep { limit: MAX_DEPTH }));
        }
        self.spans.values.insert(self.path.clone(), span.clone());
        self.open.push(Open { bracket, at: span, index: 0 });
        if bracket == b'[' {
            self.path.push("0".into());
            self.expect = Expect::ValueOrEnd;
        } else {
            self.expect = Expect::KeyOrEnd;
        }
        Ok(())
    }

    fn close_bracket(&mut self, token: &Token, bracket: u8) -> Result<(), ConfigError> {
        let Some(last) = self.open.pop() else {
            let found = self.shown(token);
            return self.fail(token, &format!("unexpected `{found}`"));
        };
        if closing(last.bracket) != bracket {
            let place = self.source.place(last.at);
            let expected = closing(last.bracket) as char;
            let (opened, found) = (last.bracket as char, bracket as char);
            let message = format!(
                "expected `{expected}` to close the `{opened}` of line {}, column {}, found \
                 `{found}`",
                place.line, place.column
            );
            return self.fail(token, &message);
        }
        if last.bracket == b'[' {
            self.path.pop();
        }
        self.end_value();
        Ok(())
    }

    fn word(&mut self, token: &Token) -> Result<(), ConfigError> {
        match word(&self.source.text()[token.span.clone()]) {
            Word::Literal => {}
            Word::Name => {
                let is_secret = is_secret(&self.path);
                self.spans.bare.push(BareWord { span: token.span.clone(), is_secret });
            }
            Word::Neither => {
                let message = format!(
                    "`{}` is not a value; expected a string in quotes, a number, true, false, \
                     null, `{{` or `[`",
                    self.shown(token)
                );
                return self.fail(token, &message);
            }
        }
        self.value(token);
        Ok(())
    }

    fn value(&mut self, token: &Token) {
        self.spans.values.insert(self.path.clone(), token.span.clone());
        self.end_value();
    }

    fn key(&mut self, token: &Token) -> Result<(), ConfigError> {
        let span = token.span.clone();
        let key = key_text(&self.source.text()[span.clone()]);
        self.path.push(key.clone());
        if self.spans.keys.insert(self.path.clone(), span.clone()).is_some() {
            return Err(self.source.error_at(span, ConfigErrorKind::DuplicateKey { key }));
        }
        self.expect = Expect::Colon;
        Ok(())
    }

    fn comma(&mut self) {
        self.expect = match self.open.last_mut() {
            Some(last) if last.bracket == b'[' => {
                last.index += 1;
                if let Some(element) = self.path.last_mut() {
                    *element = last.index.to_string();
                }
                Expect::ValueOrEnd
            }
            _ => Expect::KeyOrEnd,
        };
    }

    /// After a value comes a comma or a closing bracket, or nothing at the top level.
    fn end_value(&mut self) {
        self.expect = match self.open.last() {
            None => Expect::Nothing,
            Some(last) => {
                if last.bracket == b'{' {
                    self.path.pop();
                }
                Expect::CommaOrEnd
            }
        };
    }

    fn fail(&self, token: &Token, message: &str) -> Result<(), ConfigError> {
        Err(syntax(self.source, token.span.clone(), message))
    }

    /// The text of a token for an error; a secret is hidden.
    fn shown(&self, token: &Token) -> String {
        let is_punctuation = matches!(token.kind, TokenKind::Punctuation(_));
        if is_secret(&self.path) && !is_punctuation {
            return "***".to_owned();
        }
        self.source.text()[token.span.clone()].chars().take(MAX_SHOWN_CHARS).collect()
    }
}

/// The error for a bracket without its counterpart.
fn unclosed(source: &Source<'_>, open: Open) -> ConfigError {
    let message = format!(
        "this `{}` is never closed: expected `{}` before the end",
        open.bracket as char,
        closing(open.bracket) as char
    );
    syntax(source, open.at, &message)
}

impl Expect {
    fn describe(self) -> &'static str {
        match self {
            Self::Value => "a value",
            Self::ValueOrEnd => "a value or `]`",
            Self::KeyOrEnd => "a key or `}`",
            Self::Colon => "`:` after the key",
            Self::CommaOrEnd => "`,` or the closing bracket",
            Self::Nothing => "nothing more",
        }
    }
}

/// `text`, which begins at `offset`, with the words at `spans` in quotes.
fn quote<'a>(text: &str, offset: usize, spans: impl Iterator<Item = &'a Range<usize>>) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut at = 0;
    for span in spans {
        out += &text[at..span.start - offset];
        out.push('"');
        out += &text[span.start - offset..span.end - offset];
        out.push('"');
        at = span.end - offset;
    }
    out + &text[at..]
}

/// A line for display, without secrets and with its bare words in quotes.
fn corrected(source: &Source<'_>, start: usize, number: usize, words: &[BareWord]) -> String {
    let shown = source.redacted_line(number);
    let mut out = String::new();
    let (mut at, mut column) = (start, 0);
    for BareWord { span, .. } in words {
        for edge in [span.start, span.end] {
            let next = column + source.text()[at..edge].chars().count();
            out.extend(shown.get(column..next).unwrap_or_default());
            out.push('"');
            (at, column) = (edge, next);
        }
    }
    out.extend(shown.get(column..).unwrap_or_default());
    out
}

/// Whether the value at this path is a secret. Everything inside a list or an object with a secret
/// name is one too, except for the object `key`, which states where the key is.
fn is_secret(path: &[String]) -> bool {
    let mut names = path.iter().rev().filter(|part| part.parse::<usize>().is_err());
    names.next().is_some_and(|name| is_secret_name(name))
        || names.any(|name| name != "key" && is_secret_name(name))
}

fn closing(bracket: u8) -> u8 {
    if bracket == b'{' { b'}' } else { b']' }
}

fn key_text(raw: &str) -> String {
    raw.trim_matches(|c| c == '"' || c == '\'').to_owned()
}

enum Word {
    /// A number or a literal.
    Literal,
    /// A string whose quotes were probably forgotten.
    Name,
    Neither,
}

fn word(text: &str) -> Word {
    let unsigned = text.trim_start_matches(['+', '-']);
    let literal = matches!(text, "true" | "false" | "null")
        || matches!(unsigned, "Infinity" | "NaN")
        || (unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && json5::from_str::<f64>(text).is_ok());
    let is_name = text.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '$')
        && text.chars().all(|c| c.is_alphanumeric() || "_-$.".contains(c));
    match (literal, is_name) {
        (true, _) => Word::Literal,
        (false, true) => Word::Name,
        (false, false) => Word::Neither,
    }
}
