//! The faults that the simulator's program lists.

/// A fault that the program can plant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) name: String,
    pub(crate) group: Group,
    /// The behaviour of the core with the fault.
    pub(crate) behaviour: String,
}

/// The seeds that show a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Delivery,
    /// With members that lie.
    AmongLiars,
    /// With nodes that keep mirrors.
    State,
    /// With both.
    StateAmongLiars,
}

impl Group {
    pub(crate) const ALL: [Self; 4] =
        [Self::Delivery, Self::AmongLiars, Self::State, Self::StateAmongLiars];

    /// As the program lists it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::AmongLiars => "delivery-among-liars",
            Self::State => "state",
            Self::StateAmongLiars => "state-among-liars",
        }
    }

    /// The arguments by which the program runs such seeds.
    pub(crate) fn args(self) -> &'static [&'static str] {
        match self {
            Self::Delivery => &[],
            Self::AmongLiars => &["--liars"],
            Self::State => &["--mirrors"],
            Self::StateAmongLiars => &["--mirrors", "--liars"],
        }
    }
}

/// Reads the program's list: a line for each fault, with tabs between name, group and behaviour.
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
    fn a_list_is_read_and_a_line_that_is_none_is_named() {
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
