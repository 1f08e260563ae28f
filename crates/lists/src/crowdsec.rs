//! Decisions of CrowdSec: alerts with decisions (`cscli decisions list -o json`), or decisions
//! (its local API); `null` where there are none. One value of JSON, of which no more than a
//! decision is held at a time.

use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::csv_list::duration;
use crate::{Ends, Entry, List, ListError, MAX_DEPTH, MAX_LINE, bounded, network};

pub(crate) fn read(text: &str) -> Result<List, ListError> {
    check(text)?;
    let mut out = Out::default();
    let mut reader = serde_json::Deserializer::from_str(text);
    let place = Place { out: &mut out, within: Within::Nothing, number: 1 };
    let read = place.deserialize(&mut reader).and_then(|()| reader.end());
    match (read, out.failed) {
        (_, Some(failed)) => Err(failed),
        (Err(error), None) => {
            let (format, why) = ("list of decisions of CrowdSec", error.to_string());
            Err(ListError::NotThis { format, why })
        }
        (Ok(()), None) => Ok(out.list),
    }
}

/// Whether the strings and the nesting of a JSON text are in bounds: the parser makes copies of
/// the one, and recurses into the other.
fn check(text: &str) -> Result<(), ListError> {
    let (mut line, mut depth, mut string, mut is_escaped) = (1, 0_usize, None, false);
    for (at, byte) in text.bytes().enumerate() {
        line += usize::from(byte == b'\n');
        match (string, byte) {
            (Some(begin), _) if at - begin > MAX_LINE => {
                return Err(ListError::Limit {
                    line,
                    what: "a text has more bytes",
                    limit: MAX_LINE,
                });
            }
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), b'\\') => is_escaped = true,
            (Some(_), b'"') => string = None,
            (Some(_), _) => {}
            (None, b'"') => string = Some(at + 1),
            (None, b'[' | b'{') if depth == MAX_DEPTH => {
                return Err(ListError::Limit {
                    line,
                    what: "it is nested deeper",
                    limit: MAX_DEPTH,
                });
            }
            (None, b'[' | b'{') => depth += 1,
            (None, b']' | b'}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Out {
    list: List,
    /// Why reading was given up.
    failed: Option<ListError>,
}

/// What a value is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// It is all there is.
    Nothing,
    /// A list of alerts or decisions.
    List,
    /// The decisions of an alert.
    Alert,
}

/// A place where an alert, a decision or a list of them stands.
struct Place<'a> {
    out: &'a mut Out,
    within: Within,
    /// The element of the outermost list, from 1.
    number: usize,
}

#[derive(Debug, Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Decisions,
    Value,
    Scope,
    Type,
    Scenario,
    Origin,
    Duration,
    #[serde(other)]
    Other,
}

/// A field that should be a text.
#[derive(Debug, Default)]
enum Field {
    #[default]
    None,
    Text(String),
    NoText,
}

#[derive(Debug, Default)]
struct Decision {
    value: Field,
    scope: Field,
    sort: Field,
    scenario: Field,
    origin: Field,
    duration: Field,
}

/// Visits what is neither text nor map nor list.
macro_rules! others {
    () => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            self.other()
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            self.other()
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            self.other()
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            self.other()
        }
    };
}

impl Place<'_> {
    /// What is no decision.
    fn other<E>(self) -> Result<(), E> {
        self.out.list.refuse(self.number, "not a decision: it is not an object");
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of alerts or decisions, or null")
    }

    others!();

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.other()
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        match self.within {
            Within::Nothing => Ok(()),
            _ => self.other(),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.within != Within::Nothing {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return self.other();
        }
        let mut number = 1;
        let within = Within::List;
        while seq.next_element_seed(Place { out: self.out, within, number })?.is_some() {
            number += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Place { out, within, number } = self;
        let (mut decision, mut is_alert) = (Decision::default(), false);
        while let Some(key) = map.next_key()? {
            let field = match key {
                Key::Decisions if within != Within::Alert => {
                    is_alert = true;
                    map.next_value_seed(Decisions { out, number })?;
                    continue;
                }
                Key::Decisions | Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Key::Value => &mut decision.value,
                Key::Scope => &mut decision.scope,
                Key::Type => &mut decision.sort,
                Key::Scenario => &mut decision.scenario,
                Key::Origin => &mut decision.origin,
                Key::Duration => &mut decision.duration,
            };
            *field = map.next_value()?;
        }
        match within {
            _ if is_alert => Ok(()),
            Within::Nothing => Err(A::Error::custom("an object without `decisions`")),
            _ => take(&mut out.list, number, decision).map_err(|error| {
                out.failed = Some(error);
                A::Error::custom("given up")
            }),
        }
    }
}

/// The decisions of an alert.
struct Decisions<'a> {
    out: &'a mut Out,
    number: usize,
}

impl Decisions<'_> {
    fn other<E>(self) -> Result<(), E> {
        self.out.list.skipped += 1;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Decisions<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Decisions<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of decisions, or null")
    }

    others!();

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.other()
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.other()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.other()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { out, number } = self;
        let within = Within::Alert;
        while seq.next_element_seed(Place { out, within, number })?.is_some() {}
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl FieldVisitor {
    fn other<E>(self) -> Result<Field, E> {
        Ok(Field::NoText)
    }
}

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    others!();

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Field::None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.other()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.other()
    }
}

/// Takes a decision that bans an address or a range.
fn take(list: &mut List, number: usize, decision: Decision) -> Result<(), ListError> {
    let Decision { value, scope, sort, scenario, origin, duration: left } = decision;
    let (Field::Text(value), Field::Text(scope), Field::Text(sort)) = (value, scope, sort) else {
        list.refuse(number, "not a decision: `value`, `scope` and `type` must be texts");
        return Ok(());
    };
    let text = |field| match field {
        Field::Text(text) => Ok(text),
        Field::None => Ok(String::new()),
        Field::NoText => Err("not a decision: `scenario`, `origin` and `duration` must be texts"),
    };
    let (scenario, origin, left) = match (text(scenario), text(origin), text(left)) {
        (Ok(scenario), Ok(origin), Ok(left)) => (scenario, origin, left),
        (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => {
            list.refuse(number, why);
            return Ok(());
        }
    };
    let is_ours = sort.eq_ignore_ascii_case("ban")
        && ["ip", "range"].iter().any(|known| scope.eq_ignore_ascii_case(known));
    // A captcha, a country, a user: nothing that a mirror of networks holds. Or it has run out.
    if !is_ours || left.starts_with('-') {
        list.skipped += 1;
        return Ok(());
    }
    let ends = match left.as_str() {
        "" => Ok(Ends::Never),
        left => duration(left).map(Ends::After).map_err(|error| {
            format!("`{}` is no duration: {error}", left.chars().take(40).collect::<String>())
        }),
    };
    match (network(&value), ends) {
        (Ok(network), Ok(ends)) => {
            let (reason, origin) = (bounded(&scenario), bounded(&origin));
            list.push(Entry { line: number, network, reason, origin, ends })?;
        }
        (Err(why), _) | (_, Err(why)) => list.refuse(number, why),
    }
    Ok(())
}
