//! The structure of a text: the position of each key and value, and the bare words to be quoted.
//! The parser is iterative, so deep nesting uses no stack.

use std::collections::HashMap;
use std::ops::Range;

use mailmesh_secrets::{is_secret_name, redact};
use serde_json::Value;

use super::Warning;
use super::error::{ConfigError, ConfigErrorKind};
use super::source::Source;
use super::tokens::{Token, TokenKind, syntax, tokens};

/// Deepest nesting accepted.
const MAX_DEPTH: usize = 64;

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
        let text = source.text();
        let mut open: Vec<Open> = Vec::new();
        let mut path: Vec<String> = Vec::new();
        let mut expect = Expect::Value;
        for (index, token) in tokens.iter().enumerate() {
            let span = token.span.clone();
            let is_hidden = is_secret(&path) && !matches!(token.kind, TokenKind::Punctuation(_));
            let shown = || {
                if is_hidden {
                    "***".to_owned()
                } else {
                    text[span.clone()].chars().take(40).collect()
                }
            };
            let fail = |message: String| Err(syntax(source, span.clone(), &message));
            match (expect, token.kind) {
                (Expect::Value | Expect::ValueOrEnd, TokenKind::Punctuation(b @ (b'{' | b'['))) => {
                    if open.len() >= MAX_DEPTH {
                        let kind = ConfigErrorKind::TooDeep { limit: MAX_DEPTH };
                        return Err(source.error_at(span, kind));
                    }
                    self.values.insert(path.clone(), span.clone());
                    open.push(Open { bracket: b, at: span, index: 0 });
                    if b == b'[' {
                        path.push("0".into());
                        expect = Expect::ValueOrEnd;
                    } else {
                        expect = Expect::KeyOrEnd;
                    }
                }
                (
                    Expect::ValueOrEnd | Expect::KeyOrEnd | Expect::CommaOrEnd,
                    TokenKind::Punctuation(b @ (b'}' | b']')),
                ) => {
                    let Some(last) = open.pop() else {
                        return fail(format!("unexpected `{}`", shown()));
                    };
                    if closing(last.bracket) != b {
                        let place = source.place(last.at);
                        let expected = closing(last.bracket) as char;
                        let opened = last.bracket as char;
                        return fail(format!(
                            "expected `{expected}` to close the `{opened}` of line {}, column {}, \
                             found `{}`",
                            place.line, place.column, b as char
                        ));
                    }
                    if last.bracket == b'[' {
                        path.pop();
                    }
                    expect = self.after_value(&mut path, &open);
                }
                (Expect::Value | Expect::ValueOrEnd, TokenKind::Text) => {
                    self.values.insert(path.clone(), span);
                    expect = self.after_value(&mut path, &open);
                }
                (Expect::Value | Expect::ValueOrEnd, TokenKind::Word) => {
                    match word(&text[span.clone()]) {
                        Word::Literal => {}
                        Word::Name => {
                            let is_secret = is_secret(&path);
                            self.bare.push(BareWord { span: span.clone(), is_secret });
                        }
                        Word::Neither => {
                            return fail(format!(
                                "`{}` is not a value; expected a string in quotes, a number, true, \
                                 false, null, `{{` or `[`",
                                shown()
                            ));
                        }
                    }
                    self.values.insert(path.clone(), span);
                    expect = self.after_value(&mut path, &open);
                }
                (Expect::KeyOrEnd, TokenKind::Text | TokenKind::Word) => {
                    let key = key_text(&text[span.clone()]);
                    path.push(key.clone());
                    if self.keys.insert(path.clone(), span.clone()).is_some() {
                        return Err(source.error_at(span, ConfigErrorKind::DuplicateKey { key }));
                    }
                    expect = Expect::Colon;
                }
                (Expect::Colon, TokenKind::Punctuation(b':')) => expect = Expect::Value,
                (Expect::CommaOrEnd, TokenKind::Punctuation(b',')) => {
                    expect = match open.last_mut() {
                        Some(last) if last.bracket == b'[' => {
                            last.index += 1;
                            if let Some(element) = path.last_mut() {
                                *element = last.index.to_string();
                            }
                            Expect::ValueOrEnd
                        }
                        _ => Expect::KeyOrEnd,
                    };
                }
                (Expect::Nothing, _) => {
                    return fail(
                        "the configuration ends before this; expected nothing more".into(),
                    );
                }
                (Expect::CommaOrEnd, TokenKind::Text | TokenKind::Word) => {
                    // The mistake is directly after the previous value.
                    let end = tokens[index - 1].span.end;
                    return Err(syntax(
                        source,
                        end..end + 1,
                        "expected `,` between this value and the next",
                    ));
                }
                (expected, _) => {
                    return fail(format!("expected {}, found `{}`", expected.describe(), shown()));
                }
            }
        }
        let Some(last) = open.pop() else {
            return Ok(());
        };
        let message = format!(
            "this `{}` is never closed: expected `{}` before the end",
            last.bracket as char,
            closing(last.bracket) as char
        );
        Err(syntax(source, last.at, &message))
    }

    /// The state after a value: a comma or a closing bracket, or nothing at the top level.
    fn after_value(&mut self, path: &mut Vec<String>, open: &[Open]) -> Expect {
        match open.last() {
            None => Expect::Nothing,
            Some(last) => {
                if last.bracket == b'{' {
                    path.pop();
                }
                Expect::CommaOrEnd
            }
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

/// The most likely format of a text that does not begin with `{`.
fn other_format(source: &Source<'_>, tokens: &[Token]) -> ConfigErrorKind {
    let text = source.text();
    let (first, _) = first_line(text);
    let is_key = |key: &str| {
        let bare = |c: char| c.is_ascii_alphanumeric() || ".-_\"' ".contains(c);
        !key.trim().is_empty() && key.chars().all(bare)
    };
    let is_toml = first.starts_with('[') && first.ends_with(']') && !first.contains(',')
        || first.split_once('=').is_some_and(|(key, _)| is_key(key));
    // Sections and dotted keys of the older mail server.
    let of_server = ["cluster", "store", "storage", "server"];
    let is_of_server = |line: &str| {
        let line = line.trim().trim_start_matches('[');
        of_server.iter().any(|name| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['.', ']']))
        })
    };
    let second_is_colon = tokens.get(1).is_some_and(|t| t.kind == TokenKind::Punctuation(b':'));
    if first.starts_with("---") || (second_is_colon && !first.starts_with('[')) {
        ConfigErrorKind::OtherFormat { format: "YAML, or an object without its braces" }
    } else if first.starts_with('<') {
        ConfigErrorKind::OtherFormat { format: "XML" }
    } else if is_toml && text.lines().any(is_of_server) {
        ConfigErrorKind::OlderServer
    } else if is_toml {
        ConfigErrorKind::OtherFormat { format: "TOML" }
    } else {
        ConfigErrorKind::NotAnObject
    }
}

/// The first line that is neither blank nor a comment, trimmed, with the offset of its start.
fn first_line(text: &str) -> (&str, usize) {
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        let shown = line.trim();
        if !shown.is_empty() && !shown.starts_with('#') && !shown.starts_with("//") {
            return (shown, begin + (line.len() - line.trim_start().len()));
        }
        begin += line.len();
    }
    ("", 0)
}
