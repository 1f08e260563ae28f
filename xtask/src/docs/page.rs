//! One Markdown file: its anchors, links and blocks of code.

use std::collections::BTreeSet;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The parts of a Markdown file that the checks read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Ids of the headings, as GitHub and mdBook make them.
    pub(super) anchors: BTreeSet<String>,
    /// Targets of links and pictures.
    pub(super) links: Vec<String>,
    /// Texts between back quotes.
    pub(super) code: Vec<String>,
    /// Info strings of the blocks of code.
    pub(super) blocks: Vec<String>,
}

impl Page {
    pub(super) fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.add_anchor(&heading.take().unwrap_or_default());
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(dest_url.into_string());
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    page.blocks.push(info.into_string());
                }
                Event::Text(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    page.code.push(code.into_string());
                }
                _ => {}
            }
        }
        page
    }

    /// Adds the id of a heading; the id of a repeated heading ends in a number.
    fn add_anchor(&mut self, heading: &str) {
        let id = heading.trim().to_lowercase();
        let id = id.chars().filter_map(|c| match c {
            c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
            c if c.is_whitespace() => Some('-'),
            _ => None,
        });
        let id = id.collect::<String>();
        let numbered = (1..).map(|number| format!("{id}-{number}"));
        let free =
            std::iter::once(id.clone()).chain(numbered).find(|id| !self.anchors.contains(id));
        self.anchors.extend(free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_anchors_links_and_blocks() {
        let page = Page::parse("# A `b`, c\n[x](y.md#z) `p`\n```sh,as-root\nls\n```\n# A b c\n");
        assert_eq!(page.anchors, BTreeSet::from(["a-b-c".to_owned(), "a-b-c-1".to_owned()]));
        assert_eq!(page.links, ["y.md#z"]);
        assert_eq!(page.code, ["b", "p"]);
        assert_eq!(page.blocks, ["sh,as-root"]);
    }

    #[test]
    fn links_and_headings_in_code_do_not_count() {
        assert_eq!(Page::parse("`[a](b)`\n\n    # c\n").links, Vec::<String>::new());
    }
}
