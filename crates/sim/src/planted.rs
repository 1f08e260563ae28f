//! The faults that can be planted in the cores, in a build with `--cfg planted`. Any other build
//! has none (decision 27).

/// A fault, and the function that plants it in this process.
#[cfg_attr(not(planted), allow(dead_code))] // any other build has no faults
struct Planted {
    name: String,
    group: &'static str,
    effect: &'static str,
    plant: Box<dyn Fn() -> bool>,
}

#[cfg(planted)]
fn all() -> Vec<Planted> {
    use mailmesh_delivery::planted as delivery;
    use mailmesh_state::planted as state;

    let in_delivery = delivery::Fault::ALL.iter().map(|fault| Planted {
        name: kebab_case(&format!("{fault:?}")),
        group: if fault.is_among_liars() { "delivery-among-liars" } else { "delivery" },
        effect: fault.what().trim(),
        plant: Box::new(move || delivery::plant(*fault)),
    });
    let in_state = state::Fault::ALL.iter().map(|fault| Planted {
        name: format!("mirror-{}", kebab_case(&format!("{fault:?}"))),
        group: if fault.is_among_liars() { "state-among-liars" } else { "state" },
        effect: fault.what().trim(),
        plant: Box::new(move || state::plant(*fault)),
    });
    in_delivery.chain(in_state).collect()
}

/// `HeldLost` becomes `held-lost`.
#[cfg(planted)]
fn kebab_case(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

#[cfg(not(planted))]
fn all() -> Vec<Planted> {
    Vec::new()
}

fn all_or_why_none() -> Result<Vec<Planted>, String> {
    let all = all();
    if all.is_empty() {
        return Err("this build has no faults to plant: build it with \
            RUSTFLAGS=\"--cfg planted\", as `cargo xtask mutants` does"
            .into());
    }
    Ok(all)
}

/// Prints one line per fault: name, group and effect, separated by tabs.
///
/// # Errors
///
/// If the build has no faults to plant.
pub fn list() -> Result<(), String> {
    for Planted { name, group, effect, .. } in all_or_why_none()? {
        println!("{name}\t{group}\t{effect}");
    }
    Ok(())
}

/// Plants the fault of this name for the rest of the process.
///
/// # Errors
///
/// If the build has no fault of this name, or a fault is planted already.
pub fn plant(name: &str) -> Result<(), String> {
    let fault = all_or_why_none()?.into_iter().find(|fault| fault.name == name);
    let fault = fault.ok_or_else(|| {
        format!("there is no fault `{name}` to plant; `--list-planted` lists them")
    })?;
    if (fault.plant)() { Ok(()) } else { Err(format!("`{name}`: a fault is planted already")) }
}
