//! Scenarios of failure between real processes, in network namespaces.

/// A scenario: its name and what it does.
type Scenario = (&'static str, &'static str);

/// There is none yet. The demo and the tests named `processes::` kill, restart
/// and stop real nodes; the simulator has cuts and losses.
const SCENARIOS: [Scenario; 0] = [];

pub(crate) fn run(name: Option<&str>, list: bool) -> Result<(), String> {
    if let Some(name) = name
        && !SCENARIOS.iter().any(|(known, _)| *known == name)
    {
        return Err(format!(
            "there is no scenario `{name}`; `cargo xtask faults --list` lists them"
        ));
    }
    if list || SCENARIOS.is_empty() {
        println!("{} scenarios", SCENARIOS.len());
        for (name, what) in SCENARIOS {
            println!("{name:<12}{what}");
        }
    }
    Ok(())
}
