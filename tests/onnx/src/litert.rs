//! The written files through LiteRT, all in one batch: its driver gives a new process to the case after one that dies.

use std::path::{Path, PathBuf};

use octet_peers::{Answer, Peers, read_npz};
use serde_json::json;

use crate::case::{expected, from_array, verdict};
use crate::outcome::Outcome;

/// Seconds that one case may take.
const LIMIT: u32 = 60;

/// Runs the jobs (model, inputs, folder of expected outputs) and judges each.
pub(crate) fn run(jobs: &[(PathBuf, PathBuf, PathBuf)]) -> Result<Vec<Outcome>, String> {
    let out = |model: &Path| model.with_extension("out.npz");
    let asked: Vec<_> = jobs
        .iter()
        .map(|(model, inputs, _)| json!({"op": "litert", "model": model, "inputs": inputs, "out": out(model), "seconds": LIMIT}))
        .collect();
    let answers = Peers::find()?.run(&asked)?;
    Ok(jobs.iter().zip(&answers).map(|((model, _, data), answer)| judge(answer, &out(model), data)).collect())
}

fn judge(answer: &Answer, out: &Path, data: &Path) -> Outcome {
    if !answer.ok {
        // The last line that is not about the delegate names the operation.
        let text = answer.error.lines().filter(|l| !l.contains("INFO:") && !l.trim().is_empty()).take(3).collect::<Vec<_>>().join(" / ");
        return if answer.crashed { Outcome::Crashed(format!("LiteRT: {text}")) } else { Outcome::Refused(format!("LiteRT: {text}")) };
    }
    let expected = match expected(data) {
        Ok(expected) => expected,
        Err(why) => return Outcome::Refused(why),
    };
    let arrays = match read_npz(out) {
        Ok(arrays) => arrays,
        Err(why) => return Outcome::Refused(why),
    };
    let mut found = Vec::new();
    for index in 0..expected.len() {
        match arrays.get(&format!("o{index}")) {
            Some(array) => found.push(from_array(array)),
            None => return Outcome::Refused(format!("LiteRT gives no output {index}: {}", answer.value["unread"])),
        }
    }
    match verdict(&expected, &found) {
        Outcome::Wrong(how) => Outcome::Wrong(format!("LiteRT: {how}")),
        other => other,
    }
}
