//! Ends within the objects and lists of a record: nothing else in them is read.

use super::spans::{items, members, text_of};
use crate::List;
use crate::column::{Hint, hint_of_name, role_of_name};
use crate::end_in_comment::end_in;
use crate::ends::likely::may_be_any_end;
use crate::ends::no_end::is_no_end;
use crate::list::DoubtKind;
use crate::secret_key::excerpt;
use crate::verdict::{is_false, is_true};
use crate::words::clean;

/// A possible end in the value of a key; the caller has bounded the depth. Other moments, which may
/// have passed, are recorded as doubts in the list.
pub(super) fn end_within(list: &mut List, key: &str, value: &str) -> Option<String> {
    match value.as_bytes().first()? {
        b'{' => {
            let mut members = members(value);
            members.find_map(|(inner_key, inner)| {
                let inner_key = text_of(inner_key).unwrap_or_default();
                // The parts of a date, as MongoDB writes one, take the name of the whole.
                let key = if says_end(key) && !says_end(&inner_key) { key } else { &inner_key };
                end_within(list, key, inner)
            })
        }
        b'[' => items(value).find_map(|item| end_within(list, key, item)),
        b'"' => end_of(list, key, &text_of(value).unwrap_or_default()),
        _ => end_of(list, key, value),
    }
}

fn says_end(key: &str) -> bool {
    role_of_name(key).is_some_and(|known| known.role.is_end()) || hint_of_name(key) == Hint::End
}

fn end_of(list: &mut List, key: &str, text: &str) -> Option<String> {
    let text = clean(text);
    let hint = if says_end(key) { Hint::End } else { hint_of_name(key) };
    let is_end = match hint {
        Hint::End => !is_no_end(text) && !is_false(text) && !is_true(text),
        Hint::Nothing => may_be_any_end(text) || end_in(text).is_some(),
        Hint::Past | Hint::Begin | Hint::Moment => {
            let kind = match hint {
                Hint::Begin => DoubtKind::Begin,
                Hint::Moment => DoubtKind::End,
                _ => DoubtKind::Sight,
            };
            list.doubt_moment_of(kind, text);
            false
        }
    };
    is_end.then(|| excerpt(text))
}
