//! What a model's input takes.

use octet_ir::{ElementType, GraphId, Module};

/// How numbers become the integers of a quantized input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Feed {
    /// Integers go in as they are; real numbers only where preprocessing makes them.
    #[default]
    Raw,
    /// Real numbers are quantized with the input's scale and zero point; integers of the input's own type still go in as they are.
    Real,
    /// All numbers are real numbers, integers of the input's own type too.
    RealOnly,
}

/// One input of a model, as far as data need to know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The name under which the model knows it: its tensor's.
    pub name: String,
    /// Further names: those that signatures give it.
    pub aliases: Vec<String>,
    /// Element type.
    pub elem: ElementType,
    /// Scale and zero point, where it is quantized per tensor.
    pub quant: Option<(f32, i64)>,
    /// Sizes, outermost first; `None` where any size will do.
    pub shape: Vec<Option<usize>>,
    /// The nominal size of the outermost axis: samples that go in together.
    pub batch: usize,
}

impl Input {
    /// The inputs of a graph in order.
    pub fn of(module: &Module, graph: GraphId) -> Vec<Self> {
        let Some(found) = module.get_graph(graph) else { return Vec::new() };
        let one = |(number, &id): (usize, &octet_ir::ValueId)| {
            let ty = found.ty(id);
            let sizes = ty.shape.dims().iter().enumerate();
            let signatures = module.signatures.iter().filter(|s| s.graph == graph).flat_map(|s| &s.inputs);
            Self {
                name: found.value_name(id),
                aliases: signatures.filter(|(_, n)| *n == number).map(|(name, _)| name.clone()).collect(),
                elem: ty.elem,
                quant: if ty.elem.is_integer() { ty.scale_zero_point() } else { None },
                shape: sizes.map(|(axis, &d)| ty.shape.dynamic(axis).is_none().then_some(d)).collect(),
                batch: ty.shape.dims().first().copied().unwrap_or(1),
            }
        };
        found.inputs().iter().enumerate().map(one).collect()
    }

    /// Whether an array or argument of this name means this input.
    pub fn answers_to(&self, name: &str) -> bool {
        let short = |n: &str| {
            let n = n.strip_prefix("serving_default_").unwrap_or(n);
            n.strip_suffix(":0").unwrap_or(n).to_owned()
        };
        std::iter::once(&self.name).chain(&self.aliases).any(|n| n == name || short(n) == name)
    }

    /// The shape for messages: `(1, 28, 28, 1)`, `?` where any size will do.
    pub fn shown_shape(&self) -> String {
        let dims: Vec<String> = self.shape.iter().map(|d| d.map_or("?".to_owned(), |d| d.to_string())).collect();
        if let [one] = dims.as_slice() { format!("({one},)") } else { format!("({})", dims.join(", ")) }
    }

    /// How an array of this shape is cut into samples: how many, and the shape of one. `None` when it does not fit.
    pub(crate) fn samples(&self, shape: &[usize]) -> Option<(usize, Vec<usize>)> {
        let fits = |dims: &[usize], spec: &[Option<usize>]| {
            dims.len() == spec.len() && dims.iter().zip(spec).all(|(d, s)| s.is_none_or(|s| s == *d))
        };
        let (tail_spec, outer) = match self.shape.as_slice() {
            [outer, tail @ ..] => (tail, *outer),
            [] => (&[][..], Some(1)),
        };
        match shape {
            // A scalar input takes one number a sample.
            [] if self.shape.is_empty() => Some((1, Vec::new())),
            [n, tail @ ..] if fits(tail, tail_spec) => Some((*n, tail.to_vec())),
            // Whole inputs stacked.
            [n, inner, tail @ ..] if !self.shape.is_empty() && fits(tail, tail_spec) && outer.is_none_or(|o| o == *inner) => {
                Some((n.checked_mul(*inner)?, tail.to_vec()))
            }
            // One sample without the outermost axis.
            dims if self.batch <= 1 && !self.shape.is_empty() && fits(dims, tail_spec) => Some((1, dims.to_vec())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(shape: &[Option<usize>]) -> Input {
        Input {
            name: "serving_default_x:0".into(),
            aliases: vec!["image".into()],
            elem: ElementType::F32,
            quant: None,
            shape: shape.to_vec(),
            batch: shape.first().copied().flatten().unwrap_or(1),
        }
    }

    #[test]
    fn samples_are_along_the_outermost_axis() {
        let image = input(&[Some(1), Some(28), Some(28), Some(1)]);
        assert_eq!(image.samples(&[500, 28, 28, 1]), Some((500, vec![28, 28, 1])));
        assert_eq!(image.samples(&[28, 28, 1]), Some((1, vec![28, 28, 1])));
        assert_eq!(image.samples(&[500, 1, 28, 28, 1]), Some((500, vec![28, 28, 1])));
        assert_eq!(image.samples(&[500, 28, 28]), None);
        assert_eq!(image.samples(&[500, 28, 28, 3]), None);
        assert_eq!(input(&[None, Some(2)]).samples(&[7, 2]), Some((7, vec![2])));
        assert_eq!(input(&[Some(1), None]).samples(&[7, 9]), Some((7, vec![9])));
        assert_eq!(input(&[Some(4)]).samples(&[10, 4]), Some((40, vec![])));
        assert_eq!(input(&[]).samples(&[10]), Some((10, vec![])));
        assert_eq!(input(&[]).samples(&[]), Some((1, vec![])));
        assert_eq!(input(&[Some(2), Some(3)]).samples(&[3]), None);
    }

    #[test]
    fn names() {
        let image = input(&[Some(1)]);
        for name in ["serving_default_x:0", "x", "image"] {
            assert!(image.answers_to(name), "{name}");
        }
        assert!(!image.answers_to("y"));
    }
}
