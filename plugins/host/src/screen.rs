//! Looks at a file before the engine does: what it is, and that it is quick to compile, since compiling is not metered. A small file may be slow: components
//! that instantiate each other double with each level, and a loop costs what all values that live through it cost together.

use octet_ir::Diagnostic;
use wasmparser::{
    BlockType, CanonicalFunction, CompositeInnerType, Encoding, FuncToValidate, FuncValidatorAllocations, FunctionBody, Operator, Parser,
    Payload, TypeSectionReader, ValidPayload, Validator, WasmFeatures, WasmModuleResources,
};

use crate::kernel::is_kernel;
use crate::limits::Limits;

/// Most functions that a component lifts from its modules, lowers for them, or drops handles with. The interface has a dozen.
const CROSSINGS: usize = 64;
/// Most results of a function, and most values that a block takes: compilers write one, and none.
const ARITY: usize = 8;

/// What the engine takes, or more: it validates again.
const FEATURES: WasmFeatures = WasmFeatures::WASM3.union(WasmFeatures::COMPONENT_MODEL);

/// What a file may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A component: a pass.
    Component,
    /// A core module: a kernel.
    Module,
}

/// Says what a file is, and checks its sizes: the file, its functions, how many there are, how much they keep alive; and that a component is but one.
pub(crate) fn screen(bytes: &[u8], limits: &Limits) -> Result<Kind, Diagnostic> {
    if bytes.len() > limits.file {
        return Err(too_large(&format!("it has more than {} bytes", limits.file)));
    }
    let mut kind = Kind::Component;
    let mut validator = Validator::new_with_features(FEATURES);
    let mut allocations = FuncValidatorAllocations::default();
    let (mut functions, mut modules, mut crossings, mut live) = (0usize, 0usize, 0usize, 0usize);
    // Components around what is read, modules included.
    let mut depth = 0usize;
    for (index, payload) in Parser::new(0).parse_all(bytes).enumerate() {
        let payload = payload.map_err(|e| malformed(&e.to_string()))?;
        match &payload {
            Payload::Version { encoding, .. } => {
                depth += 1;
                if *encoding == Encoding::Module {
                    modules += 1;
                    if index == 0 {
                        if !is_kernel(bytes) {
                            return Err(Diagnostic::error(
                                "PLG011",
                                "this is a core module, and neither a pass (a component) nor a kernel",
                            )
                            .with_help(
                                "octet plugin pack makes a component of a pass; docs/write-a-plugin.md says what a kernel exports",
                            ));
                        }
                        kind = Kind::Module;
                    } else if depth > 2 {
                        return Err(composed());
                    }
                    if modules > limits.instances {
                        return Err(too_large(&format!("it has more than {} core modules", limits.instances)));
                    }
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            // An inner component may rename what it is given, as `octet plugin pack` writes it, and do nothing else.
            Payload::InstanceSection(_) | Payload::ComponentInstanceSection(_) | Payload::ComponentCanonicalSection(_) if depth > 1 => {
                return Err(composed());
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section.clone() {
                    crossings += 1;
                    match function.map_err(|e| malformed(&e.to_string()))? {
                        CanonicalFunction::Lift { .. } | CanonicalFunction::Lower { .. } | CanonicalFunction::ResourceDrop { .. } => {}
                        other => return Err(unserved(&format!("{other:?}"))),
                    }
                }
                if crossings > CROSSINGS {
                    return Err(too_large(&format!("it has more than {CROSSINGS} functions at its border")));
                }
            }
            Payload::TypeSection(section) => check_results(section)?,
            Payload::CodeSectionEntry(body) => {
                functions += 1;
                let size = body.range().len();
                if size > limits.function {
                    return Err(too_large(&format!("a function has {size} bytes; at most {} are taken", limits.function)));
                }
                if functions > limits.functions {
                    return Err(too_large(&format!("it has more than {} functions", limits.functions)));
                }
            }
            // Everything else is bounded by the file's size.
            _ => {}
        }
        if let ValidPayload::Func(function, body) = validator.payload(&payload).map_err(|e| malformed(&e.to_string()))? {
            live = live.saturating_add(alive(function, &body, &mut allocations)?);
            if live > limits.live {
                return Err(too_large(&format!("more than {} values live at its branches, all counted", limits.live)).with_help(
                    "divide the largest functions and let the compiler optimize them, or raise the limit: --plugin-limit live=NUMBER",
                ));
            }
        }
    }
    Ok(kind)
}

/// That no function type has many results. One of such a call is a few bytes, and all its results are values.
fn check_results(section: &TypeSectionReader<'_>) -> Result<(), Diagnostic> {
    for group in section.clone() {
        for ty in group.map_err(|e| malformed(&e.to_string()))?.into_types() {
            if let CompositeInnerType::Func(ty) = &ty.composite_type.inner
                && ty.results().len() > ARITY
            {
                return Err(too_large(&format!("a function has {} results; at most {ARITY} are taken", ty.results().len())));
            }
        }
    }
    Ok(())
}

/// The sum over all branches of a function of the values that live there.
fn alive(
    function: FuncToValidate<wasmparser::ValidatorResources>,
    body: &FunctionBody<'_>,
    allocations: &mut FuncValidatorAllocations,
) -> Result<usize, Diagnostic> {
    let unsound = |e: wasmparser::BinaryReaderError| malformed(&e.to_string());
    let mut validator = function.into_validator(std::mem::take(allocations));
    let mut locals = body.get_binary_reader();
    validator.read_locals(&mut locals).map_err(unsound)?;
    let mut sum = 0usize;
    let mut operators = body.get_operators_reader().map_err(unsound)?;
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset().map_err(unsound)?;
        let branches = match &operator {
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                if let BlockType::FuncType(index) = blockty {
                    let ty = validator.resources().sub_type_at(*index).map(|ty| &ty.composite_type.inner);
                    if let Some(CompositeInnerType::Func(ty)) = ty
                        && ty.params().len() > ARITY
                    {
                        return Err(too_large(&format!("a block takes {} values; at most {ARITY} are taken", ty.params().len())));
                    }
                }
                1
            }
            Operator::BrTable { targets } => usize::try_from(targets.len()).unwrap_or(usize::MAX).saturating_add(1),
            Operator::Else | Operator::Br { .. } | Operator::BrIf { .. } | Operator::BrOnNull { .. } | Operator::BrOnNonNull { .. } => 1,
            _ => 0,
        };
        // Before the operator: behind a jump there is nothing.
        let values = u64::from(validator.len_locals()) + u64::from(validator.operand_stack_height());
        sum = sum.saturating_add(branches.saturating_mul(usize::try_from(values).unwrap_or(usize::MAX)));
        validator.op(offset, &operator).map_err(unsound)?;
    }
    *allocations = validator.into_allocations();
    Ok(sum)
}

fn too_large(what: &str) -> Diagnostic {
    Diagnostic::error("PLG024", format!("the plugin is too large to compile: {what}"))
}

fn composed() -> Diagnostic {
    Diagnostic::error("PLG011", "the plugin is put together from several components")
        .with_help("link its parts into one core module, and make the component of that")
}

/// The canonical ABI has functions for resources, tasks and streams of a component's own, which cost memory that nobody counts.
fn unserved(function: &str) -> Diagnostic {
    let name = function.split([' ', '{', '(']).next().unwrap_or_default();
    Diagnostic::error("PLG012", format!("the plugin uses '{name}' of the canonical ABI, which the sandbox does not have"))
        .with_help("a pass needs no resources, tasks or streams of its own")
}

/// The file is neither a sound component nor a sound module.
pub(crate) fn malformed(why: &str) -> Diagnostic {
    Diagnostic::error("PLG011", format!("this is no sound WebAssembly plugin: {why}"))
}
