//! TFLite Micro's memory with its own plan and with ours: the least arena in which the host's interpreter starts and runs, found by bisection.

use std::path::Path;

use octet_peers::Peers;
use serde_json::{Value, json};

use super::{Bars, define_in};
use crate::report::Table;
use crate::run::{Outcome, command, run};

/// Networks that TFLite Micro runs.
const NETWORKS: [&str; 6] = ["sine", "kws", "resnet8", "vww96", "mnist_cnn", "mnist_dw"];

/// The least arena on the Cortex-M4 with TFLite Micro's plan and with ours, measured once.
const BOARD: [(&str, usize, usize); 6] = [
    ("sine", 1324, 1324),
    ("kws", 22_868, 22_868),
    ("resnet8", 54_436, 54_436),
    ("vww96", 100_692, 82_260),
    ("mnist_cnn", 31_436, 31_436),
    ("mnist_dw", 15_704, 12_568),
];

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
        let header = folder.join("model_data.h");
        let size = define_in(&header, "MODEL_ARENA_SIZE_PYTHON")?;
        printed.push((size, define_in(&header, "MODEL_ARENA_SIZE_ARM_2026_08")?));
        jobs.push(json!({"op": "tflm_arena", "models": [model, folder.join("model.tflite")], "printed": size}));
    }
    let mut table = Table::new(&[
        "network",
        "own plan",
        "our plan",
        "outputs",
        "printed",
        "runs with it",
        "one byte less than the least",
        "M4, own plan",
        "M4, our plan",
        "M4, printed",
    ]);
    for ((name, (size, arm)), answer) in chosen.iter().zip(&printed).zip(peers.run(&jobs)?) {
        if !answer.ok {
            return Err(format!("{name}: {}", answer.error));
        }
        let least = |at: usize| answer.value["least"].get(at).and_then(Value::as_u64).ok_or_else(|| format!("{name}: no least arena"));
        let told = |key: &str| answer.value[key].as_bool().unwrap_or(false);
        let word = |bars: &mut Bars, good: bool, text: &str| if good { text.to_owned() } else { bars.judge(false) };
        let (own, ours) = (least(0)?, least(1)?);
        let on_board = BOARD.iter().find(|b| b.0 == *name);
        table.row(vec![
            (*name).to_owned(),
            own.to_string(),
            if ours <= own { ours.to_string() } else { format!("{ours} {}", bars.judge(false)) },
            word(bars, told("equal"), "equal"),
            if u64::try_from(*size) == Ok(ours) { size.to_string() } else { format!("{size} {}", bars.judge(false)) },
            word(bars, told("runs"), "yes"),
            word(bars, !told("below"), "fails"),
            on_board.map_or(String::new(), |b| b.1.to_string()),
            on_board.map_or(String::new(), |b| b.2.to_string()),
            if on_board.is_none_or(|b| b.2 == *arm) { arm.to_string() } else { format!("{arm} {}", bars.judge(false)) },
        ]);
    }
    Ok(format!(
        "The least bytes of arena in which unmodified TFLite Micro starts and runs: on this machine in its Python package, found by bisection; the file of \
         `c-array` beside the original, and the bytes that its header prints.\n\n{}\nOn the Cortex-M4: TFLite Micro's core and reference kernels (sources of \
         August 2026, arm-none-eabi-g++ 12.2) linked once with the array and the resolver that `c-array` wrote, run in QEMU with outputs equal to the \
         original file's, the least arena found by bisection. TFLite Micro is not part of this project, so these columns are not measured again; \
         what the header prints is, and has to agree.\n",
        table.text()
    ))
}
