//! Integer models give the same bytes in our interpreter and in the runtimes, in every tensor that they show.
//!
//! TensorFlow Lite Micro judges. What it does not run (legacy uint8, for one) LiteRT's reference kernels judge, under the
//! rounding profile that is theirs.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use octet_eval::kernel::RoundingProfile;
use octet_tests::batch::{Batch, Ran, Runtime, Wanted};
use octet_tests::cli::octet_ok;
use octet_tests::compare::difference;
use octet_tests::peers::{Array, Peers};
use octet_tests::{judges, models, ours};

const SAMPLES: usize = 100;
/// Samples of a model that takes megapixels: the reference kernels need seconds for each.
const FEW_SAMPLES: usize = 2;
const MANY_ELEMENTS: usize = 1 << 19;

const SEED: u64 = 20_240_917;

/// One model that both sides run.
struct Case {
    path: PathBuf,
    inputs: BTreeMap<String, Array>,
    samples: usize,
    runtime: Runtime,
}

impl Case {
    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{name} ({:?})", self.runtime)
    }

    fn ours(&self, inputs: &BTreeMap<String, Array>, wanted: Wanted) -> Result<BTreeMap<String, Array>, String> {
        let profile = if self.runtime == Runtime::Tflm { RoundingProfile::Tflm } else { RoundingProfile::LitertReference };
        let mut interpreter = ours::interpreter(&ours::read(&self.path)?, profile, wanted)?;
        ours::run(&mut interpreter, inputs, wanted)
    }

    /// Where the two sides differ, told in full for the first sample that shows it.
    fn finding(&self, judges: &Peers, expected: &BTreeMap<String, Array>, found: &BTreeMap<String, Array>) -> Option<String> {
        let differing = |name: &String| found.get(name) != expected.get(name);
        let names: Vec<&String> = expected.keys().filter(|n| differing(n)).collect();
        // The lowest number is not the first op, but tensors are mostly numbered as they are computed.
        let first = names.iter().min_by_key(|n| n.trim_start_matches(['o', 't']).parse::<usize>().unwrap_or(usize::MAX))?;
        let (a, b) = (&expected[*first], found.get(*first)?);
        let sample = (0..self.samples).find(|&i| a.sample(i) != b.sample(i))?;
        let upto: BTreeMap<String, Array> = self
            .inputs
            .iter()
            .map(|(name, array)| {
                let size = array.bytes.len() / self.samples;
                let shape = std::iter::once(sample + 1).chain(array.shape[1..].iter().copied()).collect();
                (name.clone(), Array { element: array.element, shape, bytes: array.bytes[..size * (sample + 1)].to_vec() })
            })
            .collect();
        let mut batch = Batch::new();
        let inputs = batch.inputs("in", &upto);
        batch.add(self.runtime, &self.path, &inputs, Wanted::Tensors);
        let full = match batch.run(judges).remove(0) {
            Ran::Done(full) => full,
            Ran::Refused(reason) => return Some(format!("{}: {first}: {reason}", self.name())),
        };
        let detail = self
            .ours(&upto, Wanted::Tensors)
            .map(|mine| mine.get(*first).and_then(|m| difference(&full[*first], m)).unwrap_or_default())
            .unwrap_or_else(|e| e);
        Some(format!("{}: {} of {} tensors differ; {first}: {detail}", self.name(), names.len(), expected.len()))
    }
}

/// Runs every model both ways and tells where they differ.
fn check(paths: &[PathBuf]) -> (usize, Vec<String>) {
    let judges = judges();
    let mut findings = Vec::new();
    let mut pending: Vec<Case> = Vec::new();
    for path in paths {
        match case(path) {
            Ok(Some(case)) => pending.push(case),
            Ok(None) => {}
            Err(reason) => findings.push(format!("{}: {reason}", path.display())),
        }
    }
    let mut compared = 0;
    // Twice: TensorFlow Lite Micro first, then the other judge for what it refuses.
    for runtime in [Runtime::Tflm, Runtime::LiteRtReference] {
        let mut batch = Batch::new();
        for (i, case) in pending.iter_mut().enumerate() {
            case.runtime = runtime;
            let inputs = batch.inputs(&format!("in{i}"), &case.inputs);
            batch.add(runtime, &case.path, &inputs, Wanted::Sums);
        }
        let mut refused = Vec::new();
        for (case, ran) in pending.into_iter().zip(batch.run(&judges)) {
            let expected = match ran {
                Ran::Done(expected) => expected,
                Ran::Refused(_) if runtime == Runtime::Tflm => {
                    refused.push(case);
                    continue;
                }
                Ran::Refused(reason) => {
                    findings.push(format!("{}: no runtime takes it: {reason}", case.name()));
                    continue;
                }
            };
            match case.ours(&case.inputs, Wanted::Sums) {
                Ok(found) => {
                    compared += 1;
                    findings.extend(case.finding(&judges, &expected, &found));
                }
                Err(reason) => findings.push(format!("{}: {reason}", case.name())),
            }
        }
        pending = refused;
    }
    (compared, findings)
}

/// The case that a file makes, if its model computes with integers.
fn case(path: &Path) -> Result<Option<Case>, String> {
    let module = ours::read(path)?;
    if !ours::is_integer(&module) || ours::has_custom_op(&module) {
        return Ok(None);
    }
    let interpreter = ours::interpreter(&module, RoundingProfile::Tflm, Wanted::Outputs)?;
    let large = interpreter.input_details().iter().any(|d| d.shape.iter().product::<usize>() > MANY_ELEMENTS);
    let samples = if large { FEW_SAMPLES } else { SAMPLES };
    let inputs = ours::random_inputs(&interpreter, samples, SEED)?;
    Ok(Some(Case { path: path.to_owned(), inputs, samples, runtime: Runtime::Tflm }))
}

#[test]
fn zoo_integer_models_give_the_runtimes_bytes() {
    let Some(files) = models::zoo_models() else { return };
    let (compared, findings) = check(&files);
    assert!(findings.is_empty(), "{compared} agree or differ, {} finding(s):\n{}", findings.len(), findings.join("\n"));
    assert!(compared >= 35, "only {compared} models were compared");
}

/// Every integer file that we write, in every integer mode and with every type at its ends.
#[test]
fn zoo_our_integer_files_give_the_runtimes_bytes() {
    let Some(zoo) = octet_tests::peers::zoo() else { return };
    let networks = [
        ("ours/sine", "sine_calibration.npy", None),
        ("ours/slides", "slides_calibration.npy", None),
        ("ours/mnist_cnn", "mnist_calibration.npz", Some("scale=1/255")),
        ("ours/mnist_dw", "mnist_calibration.npz", Some("scale=1/255")),
        ("ours/mnist_qat", "mnist_calibration.npz", Some("scale=1/255")),
        ("mlperf-tiny/resnet8", "resnet8_calibration.npz", None),
        ("mlperf-tiny/kws", "kws_calibration.npz", None),
        ("mlperf-tiny/vww96", "vww96_calibration.npz", Some("scale=1/255")),
    ];
    let modes: [&[&str]; 4] = [&["int8-only"], &["int8-only", "--io", "uint8"], &["int8"], &["int16x8"]];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut files = Vec::new();
    for (network, data, preprocess) in networks {
        for mode in modes {
            let out = folder.path().join(format!("{}.{}.tflite", network.replace('/', "_"), mode.join("")));
            let model = zoo.join(format!("{network}.tflite"));
            let data = zoo.join("data").join(data);
            let mut arguments: Vec<&OsStr> = vec!["compile".as_ref(), model.as_ref(), "-o".as_ref(), out.as_ref(), "--quantize".as_ref()];
            arguments.extend(mode.iter().map(OsStr::new));
            arguments.extend(["--data".as_ref(), data.as_os_str()]);
            if let Some(preprocess) = preprocess {
                arguments.extend(["--preprocess", preprocess].map(OsStr::new));
            }
            octet_ok(&arguments);
            files.push(out);
        }
    }
    let (compared, findings) = check(&files);
    assert!(findings.is_empty(), "{} finding(s):\n{}", findings.len(), findings.join("\n"));
    assert_eq!(compared, files.len(), "every file is compared");
}
