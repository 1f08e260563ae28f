//! Tokens of JSON5 (<https://spec.json5.org>, section 4). One rule is more lenient: any run of
//! other characters is a word, which `Spans` judges by its position.

use std::ops::Range;

use super::error::{ConfigError, ConfigErrorKind};
use super::source::Source;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// One of `{ } [ ] , :`
    Punctuation(u8),
    /// A quoted string, quotes included.
    Text,
    /// A number, a name, a literal, or a run of characters that is none of these.
    Word,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

/// The tokens of a text, without white space and comments.
pub(super) fn tokens(source: &Source<'_>) -> Result<Vec<Token>, ConfigError> {
    let text = source.text();
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let start = at;
        let kind = match c {
            c if c.is_whitespace() || c == '\u{feff}' => {
                at += c.len_utf8();
                continue;
            }
            '/' if bytes.get(at + 1) == Some(&b'/') => {
                at = text[at..].find('\n').map_or(text.len(), |end| at + end);
                continue;
            }
            '/' if bytes.get(at + 1) == Some(&b'*') => {
                let end = text[at + 2..].find("*/");
                let open = || {
                    syntax(source, start..start + 2, "this comment is never closed: expected `*/`")
                };
                at += 4 + end.ok_or_else(open)?;
                continue;
            }
            '{' | '}' | '[' | ']' | ',' | ':' => {
                at += 1;
                TokenKind::Punctuation(c as u8)
            }
            '"' | '\'' => {
                at = end_of_string(source, at, c)?;
                TokenKind::Text
            }
            '“' | '”' | '„' | '‘' | '’' | '‚' | '«' | '»' => {
                let end = at + c.len_utf8();
                let message = format!(
                    "{c} is a typographic quote, as text programs make them; JSON5 has \" and ' \
                     only: replace all of them"
                );
                return Err(syntax(source, at..end, &message));
            }
            _ => {
                let rest = &text[at..];
                let is_end = |c: char| c.is_whitespace() || "{}[],:\"'".contains(c);
                at += rest.find(is_end).unwrap_or(rest.len());
                TokenKind::Word
            }
        };
        tokens.push(Token { kind, span: start..at });
    }
    Ok(tokens)
}

fn end_of_string(source: &Source<'_>, start: usize, quote: char) -> Result<usize, ConfigError> {
    let unterminated = || {
        let message = format!("this string is never closed: expected {quote} before the line ends");
        syntax(source, start..start + 1, &message)
    };
    let mut chars = source.text()[start + 1..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok(start + 1 + at + 1),
            '\\' => {
                chars.next();
            }
            '\n' => return Err(unterminated()),
            _ => {}
        }
    }
    Err(unterminated())
}

pub(super) fn syntax(source: &Source<'_>, span: Range<usize>, message: &str) -> ConfigError {
    source.error_at(span, ConfigErrorKind::Syntax { message: message.into() })
}
