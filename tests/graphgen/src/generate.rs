//! Putting a module together: the main graph, the graphs that it calls, and what stands around them.

use std::collections::VecDeque;

use octet_ir::{Loc, Module, ValueId};

use crate::build::{Body, Cx, Shared, Task};
use crate::decorate;
use crate::ops::{self, Family, Needs};
use crate::profile::{Profile, Runtime};
use crate::random::Random;

/// A valid module: the same one for the same seed and profile, on every platform.
///
/// # Panics
/// When a generator builds what the IR's shape inference refuses, which is a bug of the generator or of the inference.
pub fn generate(seed: u64, profile: &Profile) -> Module {
    let mut module = Module::new();
    let mut shared = Shared { random: Random::new(seed), profile: profile.clone(), bodies: VecDeque::new(), graphs: 1 };
    let mut cx = Cx::new(&mut module, &mut shared, "main", 0);
    let most = cx.profile().max_ops;
    let wanted = cx.random().between(1, most);
    grow(&mut cx, wanted);
    finish(cx);
    while let Some(body) = shared.bodies.pop_front() {
        let name = format!("body_{}", module.graphs().count());
        called(&mut module, &mut shared, &name, &body);
    }
    if profile.exotic {
        decorate::exotic(&mut module, &mut shared.random);
    } else {
        decorate::plain(&mut module, &mut shared.random);
    }
    // Gaps in the numbering are legal, but most modules that a frontend reads have none.
    if !(profile.exotic && shared.random.chance(25)) {
        module.compact();
    }
    module
}

/// Families that the profile allows, with the mnemonics of them that it allows.
fn allowed(profile: &Profile) -> Vec<(&'static Family, Vec<&'static str>)> {
    let may = |family: &Family| match family.needs {
        Needs::Nothing => true,
        Needs::State => profile.state,
        Needs::ControlFlow => profile.control_flow,
    };
    let wanted = |mnemonic: &&'static str| profile.only.is_empty() || profile.only.contains(mnemonic);
    let named = |family: &'static Family| (family, family.mnemonics.iter().copied().filter(wanted).collect::<Vec<_>>());
    ops::families().filter(|f| may(f)).map(named).filter(|(_, mnemonics)| !mnemonics.is_empty()).collect()
}

/// Appends about `wanted` operations.
fn grow(cx: &mut Cx<'_, '_>, wanted: usize) {
    let families = allowed(cx.profile());
    if families.is_empty() {
        return;
    }
    let singles: Vec<(&Family, &'static str)> = families.iter().flat_map(|(f, all)| all.iter().map(|m| (*f, *m))).collect();
    let mut made = 0;
    for _ in 0..wanted * 20 {
        if made == wanted {
            return;
        }
        // Half by families, half by mnemonics: convolutions come as often as all the functions of one number together, and yet each of
        // those comes.
        let (family, mnemonic) = if cx.chance(50) {
            let (family, mnemonics) = &families[cx.random().below(families.len())];
            (*family, *cx.random().pick(mnemonics))
        } else {
            singles[cx.random().below(singles.len())]
        };
        made += usize::from((family.make)(cx, mnemonic).is_some());
    }
}

/// Names the main graph's outputs: everything that nothing reads, and a few more.
fn finish(mut cx: Cx<'_, '_>) {
    let mut outputs: Vec<ValueId> = Vec::new();
    for value in cx.unread() {
        // Nobody outside can hold a resource; and dead code is code that a compiler must cope with.
        let hidden = cx.ty(value).byte_len().is_none() || (cx.profile().exotic && !outputs.is_empty() && cx.chance(10));
        if !hidden {
            outputs.push(value);
        }
    }
    let more = cx.profile().extra_outputs;
    let computed = |cx: &Cx<'_, '_>, v: ValueId| cx.builder.graph().producer(v).is_some() && cx.ty(v).byte_len().is_some();
    for _ in 0..cx.random().between(0, more) {
        let candidates: Vec<ValueId> = cx.pool().iter().copied().filter(|&v| computed(&cx, v) && !outputs.contains(&v)).collect();
        if !candidates.is_empty() {
            outputs.push(*cx.random().pick(&candidates));
        }
    }
    if cx.runtime() == Runtime::Any && cx.profile().exotic && cx.chance(10) {
        // One value twice, or one that no operation computes.
        let pool: Vec<ValueId> = cx.pool().iter().copied().filter(|&v| cx.ty(v).byte_len().is_some()).collect();
        if !pool.is_empty() {
            outputs.push(*cx.random().pick(&pool));
        }
    }
    if outputs.is_empty() {
        // Nothing could be made of what the profile allows: a graph that passes its input on.
        let kind = cx.profile().kinds.first().copied().unwrap_or(crate::kind::Kind::F32);
        let x = cx.fresh_of(kind, vec![2, 3], None);
        let out = cx.like(x);
        let made = cx.emit1(octet_ir::ops::Reshape { new_shape: Some(vec![3, 2]) }, &[x], out);
        outputs.extend(made);
    }
    outputs.iter().for_each(|&v| {
        cx.builder.output(v);
    });
    cx.builder.finish();
}

/// Makes a graph that another one calls.
fn called(module: &mut Module, shared: &mut Shared, name: &str, body: &Body) {
    let mut cx = Cx::new(module, shared, name, body.depth);
    let inputs: Vec<ValueId> = (body.inputs.iter())
        .map(|ty| {
            let name = cx.name("argument");
            let value = cx.builder.input(ty.clone(), name);
            cx.offer(value);
            value
        })
        .collect();
    if matches!(body.task, Task::Branch | Task::Loop) {
        let wanted = cx.random().below(3);
        grow(&mut cx, wanted);
    }
    let outputs = ops::body(&mut cx, body, &inputs);
    outputs.iter().for_each(|&v| {
        cx.builder.output(v);
    });
    cx.builder.finish();
}

/// A location that is like those of a source model.
pub(crate) fn odd_location(random: &mut Random) -> Loc {
    let names = ["conv1/Relu", "näme with \"quotes\" and \\", "tab\there", "line\nbreak", "\u{1}\u{0}", "x", "StatefulPartitionedCall:0"];
    (0..random.between(0, 3)).map(|_| *random.pick(&names)).collect()
}
