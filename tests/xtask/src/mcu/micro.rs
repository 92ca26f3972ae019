//! TFLite Micro's memory with its own plan and with ours: the least arena in which the host's interpreter starts and runs, found by bisection.

use std::path::Path;

use octet_peers::Peers;
use serde_json::{Value, json};

use super::{Bars, define_in};
use crate::report::Table;
use crate::run::{Outcome, command, run};

/// Networks that TFLite Micro runs.
const NETWORKS: [&str; 6] = ["sine", "kws", "resnet8", "vww96", "mnist_cnn", "mnist_dw"];

/// The table.
pub(super) fn arenas(peers: &Peers, octet: &Path, zoo: &Path, names: &[String], bars: &mut Bars) -> Outcome<String> {
    let scratch = crate::octet::target().join("mcu");
    let chosen: Vec<&str> = NETWORKS.into_iter().filter(|n| names.is_empty() || names.iter().any(|wanted| wanted == n)).collect();
    let mut jobs = Vec::new();
    let mut printed = Vec::new();
    for name in &chosen {
        let model = zoo.join("peers").join(format!("{name}.tf.int8io.tflite"));
        let folder = scratch.join(format!("{name}-array"));
        let arguments = ["--target", "c-array", "--pipeline", "none", "--quiet"];
        run(command(octet, &["compile"]).arg(&model).arg("-o").arg(&folder).args(arguments))?;
        let size = define_in(&folder.join("model_data.h"), "MODEL_ARENA_SIZE")?;
        printed.push(size);
        jobs.push(json!({"op": "tflm_arena", "models": [model, folder.join("model.tflite")], "printed": size}));
    }
    let mut table =
        Table::new(&["network", "own plan", "our plan", "outputs", "printed size", "runs with it", "one byte less than the least"]);
    for ((name, size), answer) in chosen.iter().zip(&printed).zip(peers.run(&jobs)?) {
        if !answer.ok {
            return Err(format!("{name}: {}", answer.error));
        }
        let least = |at: usize| answer.value["least"].get(at).and_then(Value::as_u64).ok_or_else(|| format!("{name}: no least arena"));
        let told = |key: &str| answer.value[key].as_bool().unwrap_or(false);
        let word = |bars: &mut Bars, good: bool, text: &str| if good { text.to_owned() } else { bars.judge(false) };
        let (own, ours) = (least(0)?, least(1)?);
        table.row(vec![
            (*name).to_owned(),
            own.to_string(),
            if ours <= own { ours.to_string() } else { format!("{ours} {}", bars.judge(false)) },
            word(bars, told("equal"), "equal"),
            size.to_string(),
            word(bars, told("runs"), "yes"),
            word(bars, !told("below"), "fails"),
        ]);
    }
    Ok(format!(
        "The least bytes of arena in which unmodified TFLite Micro starts and runs on the host, whose pointers have 64 bits; the file of `c-array` beside \
         the original.\n\n{}\n",
        table.text()
    ))
}
