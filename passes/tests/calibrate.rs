//! Calibration over data in memory: ranges, their independence of threads, and what is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use octet_ir::{Diagnostic, ElementType, Module, Range, text};
use octet_passes::{Outcome, Pipeline, Settings, Silent};
use octet_plugin::{DataSource, Dataset, SampleStream, Samples, Tensor};

/// One array of `f32` samples for the only input.
struct Memory {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl DataSource for Memory {
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic> {
        let bytes = self.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let tensor = Tensor { elem: ElementType::F32, shape: self.shape.clone(), bytes };
        Ok(Dataset { arrays: vec![Samples { input: None, tensor }], origin: name.to_owned() })
    }
}

fn run(source: &str, data: &Memory, method: &str, threads: usize) -> (Result<Outcome, octet_passes::Failure>, Silent) {
    let module = text::parse(source, &Default::default()).unwrap_or_else(|e| panic!("{e}"));
    let pipeline: Pipeline = format!("calibrate{{data = \"set\", method = \"{method}\"}}").parse().expect("a pipeline");
    let mut monitor = Silent::default();
    let settings = Settings { threads, ..Settings::default() };
    (octet_passes::run(&module, &pipeline, &settings, data, &mut monitor), monitor)
}

fn range_of(module: &Module, name: &str) -> Option<Range> {
    let all = module.graphs().flat_map(|(_, g)| g.values()).filter(|(_, v)| v.loc().name() == Some(name));
    all.map(|(_, v)| v.range().cloned()).next().unwrap_or_else(|| panic!("no value '{name}'"))
}

const NET: &str = "octet.ir 1
graph @main(%0: 1x4 f32 loc(\"x\")) {
  %1 = const [1.0, -1.0, 0.5, 2.0, -0.25, 0.0, 1.0, 1.0] : 2x4 f32
  %2 = fully_connected(%0, %1) : 1x2 f32 loc(\"fc\")
  %3 = relu(%2) : 1x2 f32 loc(\"y\")
  return %3
}
";

/// Numbers that look random and are the same on every machine.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 * 4.0 - 2.0
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn ranges_are_those_of_the_whole_set() {
    let values = noise(4 * 301);
    let data = Memory { shape: vec![301, 4], values: values.clone() };
    let (outcome, monitor) = run(NET, &data, "min-max", 2);
    let module = outcome.expect("runs").module;
    let (lo, hi) = values.iter().fold((f32::MAX, f32::MIN), |(lo, hi), &v| (lo.min(v), hi.max(v)));
    assert_eq!(range_of(&module, "x"), Some(Range::new(lo, hi)));
    let unit = |row: &[f32]| row[0] - row[1] + 0.5 * row[2] + 2.0 * row[3];
    let other = |row: &[f32]| -0.25 * row[0] + row[2] + row[3];
    let results: Vec<f32> = values.chunks(4).flat_map(|row| [unit(row), other(row)]).collect();
    let (lo, hi) = results.iter().fold((f32::MAX, f32::MIN), |(lo, hi), &v| (lo.min(v), hi.max(v)));
    let fc = range_of(&module, "fc").expect("a range");
    assert!((fc.min[0] - lo).abs() < 1e-5 && (fc.max[0] - hi).abs() < 1e-5, "{fc:?} {lo} {hi}");
    assert_eq!(range_of(&module, "y"), Some(Range::new(0.0, fc.max[0])));
    assert!(monitor.0.0.is_empty());
}

#[test]
fn threads_leave_no_trace() {
    let data = Memory { shape: vec![301, 4], values: noise(4 * 301) };
    for method in ["min-max", "percentile:99", "mse"] {
        let one = run(NET, &data, method, 1).0.expect("runs").module;
        for threads in [2, 3, 8] {
            assert!(run(NET, &data, method, threads).0.expect("runs").module == one, "{method} on {threads} threads");
        }
    }
}

#[test]
fn methods_stay_within_what_was_seen() {
    let mut values = noise(4 * 1000);
    values[17] = 500.0;
    let data = Memory { shape: vec![1000, 4], values };
    let max = |method: &str| range_of(&run(NET, &data, method, 2).0.expect("runs").module, "x").expect("a range").max[0];
    assert_eq!(max("min-max"), 500.0);
    assert!(max("percentile:99.9") < 3.0);
}

/// The best 256 levels for a normal distribution end near four standard deviations, which some of so many samples exceed.
#[test]
fn squared_errors_cut_thin_tails() {
    let uniform = noise(12 * 4 * 50_000);
    let normal = uniform.chunks(12).map(|draws| draws.iter().sum::<f32>() / 4.0).collect();
    let data = Memory { shape: vec![50_000, 4], values: normal };
    let max = |method: &str| range_of(&run(NET, &data, method, 2).0.expect("runs").module, "x").expect("a range").max[0];
    let (all, best) = (max("min-max"), max("mse"));
    assert!(all > 4.2 && (3.5..4.2).contains(&best), "{best} of {all}");
}

#[test]
fn a_fixed_batch_takes_as_many_samples() {
    let source = "octet.ir 1
graph @main(%0: 2x3 f32 loc(\"x\")) {
  %1 = abs(%0) : 2x3 f32 loc(\"y\")
  return %1
}
";
    // Five samples, two at a time: the last one is alone, and holds the extreme.
    let mut values = vec![0.5; 15];
    values[14] = -9.0;
    let data = Memory { shape: vec![5, 3], values };
    let module = run(source, &data, "min-max", 2).0.expect("runs").module;
    assert_eq!(range_of(&module, "y"), Some(Range::new(0.5, 9.0)));
}

#[test]
fn bodies_of_loops_are_calibrated() {
    let source = "octet.ir 1
graph @main(%0: 1x2 f32 loc(\"x\")) {
  %1 = const [0] : i32
  %2, %3 = while(%0, %1) {cond_graph = 1, body_graph = 2} : 1x2 f32 loc(\"out\"), i32
  return %2
}
graph @cond(%0: 1x2 f32, %1: i32) {
  %2 = const [3] : i32
  %3 = less(%1, %2) : bool
  return %3
}
graph @body(%0: 1x2 f32 loc(\"state\"), %1: i32) {
  %2 = const [1] : i32
  %3 = add(%1, %2) : i32
  %4 = const [1.0] : f32
  %5 = add(%0, %4) : 1x2 f32 loc(\"next\")
  return %5, %3
}
";
    let data = Memory { shape: vec![2, 2], values: vec![0.0, 1.0, 2.0, -5.0] };
    let module = run(source, &data, "min-max", 1).0.expect("runs").module;
    assert_eq!(range_of(&module, "state"), Some(Range::new(-5.0, 4.0)));
    assert_eq!(range_of(&module, "next"), Some(Range::new(-4.0, 5.0)));
    assert_eq!(range_of(&module, "out"), Some(Range::new(-2.0, 5.0)));
}

#[test]
fn what_is_not_finite_is_named_with_its_sample() {
    let source = "octet.ir 1
graph @main(%0: 1x2 f32 loc(\"x\")) {
  %1 = log(%0) : 1x2 f32 loc(\"logarithm\")
  return %1
}
";
    let mut values = vec![1.0; 200];
    values[67] = -1.0;
    values[150] = -1.0;
    let data = Memory { shape: vec![100, 2], values };
    let (outcome, monitor) = run(source, &data, "min-max", 4);
    assert_eq!(range_of(&outcome.expect("runs").module, "logarithm"), None);
    let [warning] = monitor.0.0.as_slice() else { panic!("{}", monitor.0) };
    assert_eq!(warning.code, "CAL005");
    assert!(warning.message.contains("'logarithm'") && warning.message.contains("sample 33"), "{}", warning.message);
}

#[test]
fn data_that_does_not_fit_is_refused() {
    let empty = Memory { shape: vec![0, 4], values: Vec::new() };
    assert_eq!(run(NET, &empty, "min-max", 1).0.expect_err("no samples").diagnostics.0[0].code, "CAL004");
    let wide = Memory { shape: vec![3, 5], values: vec![0.0; 15] };
    assert!(run(NET, &wide, "min-max", 1).0.is_err());
    let module = NET.replace("f32 loc(\"x\")", "f32 range(-1.0, 1.0) loc(\"x\")");
    let fits = Memory { shape: vec![3, 4], values: vec![3.0; 12] };
    let ranged = run(&module, &fits, "min-max", 1).0.expect("runs").module;
    assert_eq!(range_of(&ranged, "x"), Some(Range::new(3.0, 3.0)), "new data replaces an old range");
}

/// A set that notes how many samples were asked for at once.
struct Watched(Memory, Arc<AtomicUsize>);

struct WatchedStream(Box<dyn SampleStream>, Arc<AtomicUsize>);

impl DataSource for Watched {
    fn open(&self, name: &str) -> Result<Dataset, Diagnostic> {
        self.0.open(name)
    }

    fn stream(&self, name: &str) -> Result<Box<dyn SampleStream>, Diagnostic> {
        Ok(Box::new(WatchedStream(self.0.stream(name)?, Arc::clone(&self.1))))
    }
}

impl SampleStream for WatchedStream {
    fn origin(&self) -> &str {
        self.0.origin()
    }
    fn samples(&self) -> usize {
        self.0.samples()
    }
    fn columns(&self) -> &[octet_plugin::Column] {
        self.0.columns()
    }
    fn read(&self, column: usize, range: std::ops::Range<usize>) -> Result<Tensor, Diagnostic> {
        self.1.fetch_max(range.len(), Ordering::Relaxed);
        self.0.read(column, range)
    }
}

#[test]
fn a_model_with_state_does_not_read_the_whole_set_at_once() {
    let source = "octet.ir 1
graph @main(%0: 1x2 f32 loc(\"x\")) {
  %1 = variable : 1x4 f32 loc(\"state\")
  %2 = const [1.0, 0.5] : 1x2 f32
  %3 = const [1.0, 2.0, 3.0, 4.0] : 1x4 f32
  %4 = svdf(%0, %2, %3, _, %1) : 1x1 f32 loc(\"y\")
  return %4
}
";
    let most = Arc::new(AtomicUsize::new(0));
    let data = Watched(Memory { shape: vec![500, 2], values: noise(1000) }, Arc::clone(&most));
    let module = text::parse(source, &Default::default()).expect("parses");
    let pipeline: Pipeline = "calibrate{data = \"set\"}".parse().expect("a pipeline");
    let settings = Settings { threads: 2, ..Settings::default() };
    octet_passes::run(&module, &pipeline, &settings, &data, &mut Silent::default()).expect("runs");
    assert!((1..=16).contains(&most.load(Ordering::Relaxed)), "{most:?} samples at once");
}

/// Two rows of scores in [-2, 2]; what SOFTMAX reads has masks added or selected into it.
fn masked(body: &str) -> Module {
    let source = format!("octet.ir 1\ngraph @main(%0: 2x4 f32 loc(\"x\")) {{\n{body}\n  return %9\n}}\n");
    let data = Memory { shape: vec![1, 2, 4], values: vec![2.0, -2.0, 0.0, 1.0, 0.5, -1.0, -2.0, 1.5] };
    let (outcome, monitor) = run(&source, &data, "min-max", 1);
    let module = outcome.expect("runs").module;
    assert!(monitor.0.0.is_empty(), "{:?}", monitor.0.0);
    module
}

#[test]
fn softmax_sees_masks_no_deeper_than_their_floor() {
    // The smaller of the rows' largest sums is 1.5, and ln(512 * 4) is 7.6.
    for mask in ["-inf", "-1e9", "-10000.0", "-3.4e38"] {
        let module = masked(&format!(
            "  %1 = const [0.0, 0.0, 0.0, {mask}, 0.0, 0.0, 0.0, 0.0] : 2x4 f32 loc(\"mask\")
  %2 = add(%0, %1) : 2x4 f32 loc(\"sum\")
  %9 = softmax(%2) : 2x4 f32"
        ));
        assert_eq!(range_of(&module, "sum"), Some(Range::new(1.5 - 8.0, 2.0)), "{mask}");
        // Added to a score of 2, what is at this floor is at the sum's.
        assert_eq!(range_of(&module, "mask"), Some(Range::new(1.5 - 8.0 - 2.0, 0.0)), "{mask}");
        assert_eq!(range_of(&module, "x"), Some(Range::new(-2.0, 2.0)), "{mask}");
    }
}

#[test]
fn floors_go_up_through_movements_selections_and_factors() {
    let module = masked(
        "  %1 = const x\"01010001\" : 4 bool
  %2 = const [-inf] : f32 loc(\"never\")
  %3 = const [0.5] : f32
  %4 = select_v2(%1, %0, %2) : 2x4 f32 loc(\"chosen\")
  %5 = const [4, 2] : 2 i32
  %6 = const [2, 4] : 2 i32
  %7 = reshape(%4, %5) : 4x2 f32 loc(\"moved\")
  %8 = reshape(%7, %6) : 2x4 f32
  %10 = mul(%8, %3) : 2x4 f32 loc(\"half\")
  %9 = softmax(%10) : 2x4 f32",
    );
    assert_eq!(range_of(&module, "half"), Some(Range::new(0.75 - 8.0, 1.0)));
    assert_eq!(range_of(&module, "moved"), Some(Range::new(1.5 - 16.0, 2.0)));
    assert_eq!(range_of(&module, "never"), Some(Range::new(1.5 - 16.0, 1.5 - 16.0)));
}

#[test]
fn a_mask_of_ones_reaches_its_floor_in_one_step() {
    let module = masked(
        "  %1 = relu(%0) : 2x4 f32 loc(\"ones\")
  %2 = const [-3.4e38] : f32 loc(\"never\")
  %3 = mul(%1, %2) : 2x4 f32 loc(\"mask\")
  %4 = const [-1.0, 0.0, 1.0, 0.5] : 4 f32
  %5 = add(%4, %3) : 2x4 f32 loc(\"sum\")
  %9 = softmax(%5) : 2x4 f32",
    );
    // Both rows' largest sum is the 1 that has no mask.
    assert_eq!(range_of(&module, "sum"), Some(Range::new(-7.0, 1.0)));
    assert_eq!(range_of(&module, "mask"), Some(Range::new(-8.0, 0.0)));
    let never = -8.0 * 255.0 / 2.0;
    assert_eq!(range_of(&module, "never"), Some(Range::new(never, never)));
}

#[test]
fn what_others_read_too_has_no_floor() {
    let module = masked(
        "  %1 = const [0.0, 0.0, 0.0, -1e9] : 4 f32 loc(\"mask\")
  %2 = add(%0, %1) : 2x4 f32 loc(\"sum\")
  %3 = softmax(%2) : 2x4 f32
  %9 = add(%2, %3) : 2x4 f32",
    );
    assert_eq!(range_of(&module, "sum").expect("a range").min, [-1e9]);
    assert_eq!(range_of(&module, "mask"), None);
}

/// Data are for the main graph: no argument could show calibration the other ones, and it says so.
#[test]
fn signatures_that_no_data_reach_are_named() {
    let source = "octet.ir 1
signature \"f\" = @0(\"x\" = 0) -> (\"y\" = 0)
signature \"g\" = @1(\"x\" = 0) -> (\"y\" = 0)
graph @main(%0: 1x2 f32 loc(\"a\")) {
  %1 = tanh(%0) : 1x2 f32 loc(\"y\")
  return %1
}
graph @other(%0: 1x2 f32 loc(\"b\")) {
  %1 = abs(%0) : 1x2 f32 loc(\"z\")
  return %1
}
";
    let data = Memory { shape: vec![1, 2], values: vec![-1.0, 1.0] };
    let (outcome, monitor) = run(source, &data, "min-max", 1);
    let module = outcome.expect("runs").module;
    assert!(range_of(&module, "y").is_some() && range_of(&module, "z").is_none());
    let [warning] = monitor.0.0.as_slice() else { panic!("{}", monitor.0) };
    assert!(warning.code == "CAL006" && warning.message.contains("'g'"), "{warning}");
}

/// Data that never change give ranges that say nothing: an array that was never filled, most often.
#[test]
fn data_that_never_change_are_told() {
    let source = "octet.ir 1
graph @main(%0: 1x2 f32 loc(\"a\")) {
  %1 = tanh(%0) : 1x2 f32 loc(\"y\")
  return %1
}
";
    for (values, warned) in [(vec![0.0; 4], true), (vec![0.0, 0.0, 0.0, 1.0], false), (vec![0.0; 2], false)] {
        let data = Memory { shape: vec![values.len() / 2, 2], values };
        let (outcome, monitor) = run(source, &data, "min-max", 1);
        outcome.expect("runs");
        assert_eq!(monitor.0.0.iter().any(|d| d.code == "CAL007"), warned, "{}", monitor.0);
    }
}
