//! What a plugin did wrong, as a diagnostic.

use octet_ir::Diagnostic;
use wasmtime::Trap;

use crate::limits::{Exceeded, Limits};

/// Names the fault behind an error of the engine. `doing` says what the plugin was asked to do.
pub(crate) fn fault(error: &wasmtime::Error, doing: &str, limits: &Limits) -> Diagnostic {
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return Diagnostic::error("PLG018", format!("the plugin reached a limit {doing}: {exceeded}"));
    }
    let root = error.root_cause().to_string();
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Diagnostic::error("PLG016", format!("the plugin used up its fuel {doing}: {} instructions", limits.fuel))
            .with_help("it may be stuck in a loop"),
        Some(Trap::Interrupt) => Diagnostic::error("PLG017", format!("the plugin's time was over {doing}: {} ms", limits.time.as_millis())),
        Some(trap) => Diagnostic::error("PLG019", format!("the plugin trapped {doing}: {trap}"))
            .with_help("this is a bug of the plugin, not of the model"),
        None if root.contains("resource limit exceeded") || root.contains("fuel allocated for hostcalls") => {
            Diagnostic::error("PLG018", format!("the plugin reached a limit {doing}: {root}"))
        }
        None => Diagnostic::error("PLG019", format!("the plugin broke the rules of its interface {doing}: {root}"))
            .with_help("this is a bug of the plugin, not of the model"),
    }
}
