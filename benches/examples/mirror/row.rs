use serde::Serialize;

/// One measured figure, with its goal and the figure of an alternative.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: &'static str,
    ours: f64,
    rival: Option<f64>,
    rival_name: &'static str,
    ratio: Option<f64>,
    unit: &'static str,
    /// Largest value that meets the goal.
    goal: f64,
    met: bool,
}

impl Row {
    pub(crate) fn new(name: &'static str, ours: f64, unit: &'static str, goal: f64) -> Self {
        let met = ours <= goal;
        Self { name, ours, rival: None, rival_name: "", ratio: None, unit, goal, met }
    }

    pub(crate) fn versus(mut self, rival_name: &'static str, rival: f64) -> Self {
        (self.rival, self.rival_name, self.ratio) =
            (Some(rival), rival_name, Some(self.ours / rival));
        self
    }

    pub(crate) fn print(&self) {
        let shown = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.2}"));
        println!(
            "{:<42}{:>11.1}{:>11.1} {:<6}{:<5}{:>11}{:>8}  {}",
            self.name,
            self.ours,
            self.goal,
            self.unit,
            if self.met { "yes" } else { "no" },
            shown(self.rival),
            shown(self.ratio),
            self.rival_name
        );
    }
}

pub(crate) fn print_head() {
    println!(
        "{:<42}{:>11}{:>11} {:<6}{:<5}{:>11}{:>8}  beside",
        "", "ours", "goal", "", "met", "rival", "ratio"
    );
}
