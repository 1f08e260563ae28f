//! The planted faults that the simulator's program lists.

/// A fault that the simulator's program can plant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) name: String,
    pub(crate) group: Group,
    /// The behaviour of the core with the fault.
    pub(crate) behaviour: String,
}

/// The kind of seeds that reveals a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Delivery,
    /// Seeds with members that lie.
    AmongLiars,
    /// Seeds with nodes that keep mirrors.
    State,
    /// Seeds with both.
    StateAmongLiars,
}

impl Group {
    pub(crate) const ALL: [Self; 4] =
        [Self::Delivery, Self::AmongLiars, Self::State, Self::StateAmongLiars];

    /// The name in the program's list.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::AmongLiars => "delivery-among-liars",
            Self::State => "state",
            Self::StateAmongLiars => "state-among-liars",
        }
    }

    /// The arguments that select such seeds.
    pub(crate) fn args(self) -> &'static [&'static str] {
        match self {
            Self::Delivery => &[],
            Self::AmongLiars => &["--liars"],
            Self::State => &["--mirrors"],
            Self::StateAmongLiars => &["--mirrors", "--liars"],
        }
    }
}

/// Parses the program's list: one fault a line, with tabs between name, group and behaviour.
pub(crate) fn parse(listed: &str) -> Result<Vec<Fault>, String> {
    listed.lines().map(|line| parse_line(line).ok_or_else(|| parse_error(line))).collect()
}

fn parse_line(line: &str) -> Option<Fault> {
    let (name, rest) = line.split_once('\t')?;
    let (group, behaviour) = rest.split_once('\t')?;
    let group = Group::ALL.into_iter().find(|known| known.name() == group)?;
    Some(Fault { name: name.to_owned(), group, behaviour: behaviour.to_owned() })
}

fn parse_error(line: &str) -> String {
    format!("the simulator's program lists `{line}`, which is not a name, a group and a behaviour")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_parsed_and_an_invalid_line_is_named() {
        let faults = parse("a\tdelivery\tDoes this.\nb-c\tstate-among-liars\tDoes that.\n");
        let fault = |name: &str, group, behaviour: &str| Fault {
            name: name.to_owned(),
            group,
            behaviour: behaviour.to_owned(),
        };
        let expected = [
            fault("a", Group::Delivery, "Does this."),
            fault("b-c", Group::StateAmongLiars, "Does that."),
        ];
        assert_eq!(faults.as_deref(), Ok(&expected[..]));
        for line in ["a", "a\tdelivery", "a\tnowhere\tDoes this."] {
            assert!(parse(line).unwrap_err().contains(line), "{line}");
        }
    }
}
