//! The pipelines that `octet compile` runs when none is given.

use octet_ir::Attr;

use crate::pipeline::{PassSpec, Pipeline};
use crate::quantize::{Io, Mode, Runtime};

/// What a default pipeline depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goal {
    /// What becomes of the numbers; `None` keeps floats.
    pub mode: Option<Mode>,
    /// Element type of inputs and outputs, where it is not the mode's own.
    pub io: Option<Io>,
    /// Whose kernels a quantized model must find.
    pub runtime: Runtime,
    /// The data set to calibrate on, by the name that the data source knows; `None` when the ranges are in the model.
    pub data: Option<String>,
    /// How ranges are chosen from the data, where it is not the default.
    pub method: Option<String>,
    /// The target whose forms operations get, if it needs some: an accelerator, or a runtime that lacks kernels.
    pub accelerator: Option<String>,
}

/// The passes for a goal.
///
/// Transposes go first: what quantization says of a value is to be said once, not on either side of an axis change. Trained quantization is
/// adopted next, before folding could compute it away. Clean-up follows quantization because the rewrite leaves
/// conversions that meet.
pub fn default_pipeline(goal: &Goal) -> Pipeline {
    let text = |value: &str| Attr::Str(value.to_owned());
    let mut passes = Vec::new();
    let mut add = |name: &str, options: Vec<(&str, Attr)>| {
        let options = options.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        passes.push(PassSpec { name: name.to_owned(), options });
    };
    add("layout", Vec::new());
    if goal.mode.is_some() {
        add("adopt-fake-quant", Vec::new());
    }
    // Weights in half precision are quantized anew, but not by the mode that would put them back.
    let anew = goal.mode.is_some_and(|mode| mode != Mode::Float16);
    add("fold", anew.then_some(("float16", Attr::Bool(true))).into_iter().collect());
    for name in ["canonicalize", "fuse", "canonicalize", "cse", "dce"] {
        add(name, Vec::new());
    }
    if let Some(mode) = goal.mode {
        if let Some(data) = goal.data.as_ref().filter(|_| mode.quantizes_activations()) {
            let method = goal.method.iter().map(|m| ("method", text(m)));
            let bits = (mode == Mode::Int16x8).then_some(("softmax_bits", Attr::Int(15)));
            add("calibrate", std::iter::once(("data", text(data))).chain(method).chain(bits).collect());
        }
        let io = goal.io.iter().map(|io| ("io", Attr::Word(io.name().to_owned())));
        let runtime = (goal.runtime != Runtime::default()).then(|| ("runtime", Attr::Word(goal.runtime.name().to_owned())));
        add("quantize", std::iter::once(("mode", Attr::Word(mode.name().to_owned()))).chain(io).chain(runtime).collect());
        for name in ["canonicalize", "cse", "dce"] {
            add(name, Vec::new());
        }
    }
    if let Some(accelerator) = &goal.accelerator {
        // Last: clean-up would take some of these forms back.
        add("legalize", vec![("target", Attr::Word(accelerator.clone()))]);
        add("dce", Vec::new());
    }
    Pipeline(passes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_read_back() {
        let goal = Goal { mode: Some(Mode::Int8Only), io: Some(Io::Uint8), data: Some("cal.npz".into()), ..Goal::default() };
        let pipeline = default_pipeline(&goal);
        assert_eq!(
            pipeline.to_string(),
            "layout,adopt-fake-quant,fold{float16 = true},canonicalize,fuse,canonicalize,cse,dce,calibrate{data = \"cal.npz\"},\
             quantize{mode = int8-only, io = uint8},canonicalize,cse,dce"
        );
        assert_eq!(pipeline.to_string().parse::<Pipeline>().expect("well formed"), pipeline);
        assert_eq!(default_pipeline(&Goal::default()).to_string(), "layout,fold,canonicalize,fuse,canonicalize,cse,dce");
        let accelerated = Goal { mode: Some(Mode::Int8Only), accelerator: Some("edgetpu".into()), ..Goal::default() };
        assert!(default_pipeline(&accelerated).to_string().ends_with("dce,legalize{target = edgetpu},dce"));
        let weights_only = Goal { mode: Some(Mode::Float16), data: Some("cal.npz".into()), ..Goal::default() };
        assert!(!default_pipeline(&weights_only).to_string().contains("calibrate"));
    }
}
