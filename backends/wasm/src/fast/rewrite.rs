//! Which calls vector kernels can serve, and how their constants are laid out for them.

use octet_loops::lang::Elem;
use octet_loops::{Arg, Buffer, BufferKind, Call, ConstantData, Data, Program, Role};

use super::conv::{self, Dot};
use super::epilogue::Form;
use super::{Kernel, Rewritten, add, depthwise, image, pool};

/// Most taps of a depthwise filter, whose code is written out.
const TAPS: usize = 32;

/// Gives calls to the vector kernels that can serve them.
pub(crate) fn rewrite(program: &mut Program, dot: Dot) -> Rewritten {
    let mut rewritten = Rewritten::default();
    for step in 0..program.steps.len() {
        let calls = std::mem::take(&mut program.steps[step].calls);
        let mut changed = false;
        for call in calls {
            let replaced = Rewriter { program, rewritten: &mut rewritten, step, dot }.call(&call);
            changed |= replaced.is_some();
            program.steps[step].calls.extend(replaced.unwrap_or_else(|| vec![call]));
        }
        if changed {
            // The overlaps were found for the scalar kernels.
            program.steps[step].overlaps.clear();
        }
    }
    rewritten
}

struct Rewriter<'a> {
    program: &'a mut Program,
    rewritten: &'a mut Rewritten,
    step: usize,
    dot: Dot,
}

/// A layer's weights as `[filters][rows][values of a row]`, and its image.
struct Geometry {
    batches: usize,
    /// Rows of the image, values of a row, values of a pixel.
    rows: usize,
    row: usize,
    channels: usize,
    /// Rows of the result, pixels of a row, filters.
    out_rows: usize,
    columns: usize,
    filters: usize,
    /// Rows of a filter, values of its row.
    kernel_rows: usize,
    run: usize,
    strides: [usize; 2],
    /// Rows above and pixels to the left of the image that the windows cover.
    padding: [usize; 2],
    zero: i32,
}

fn int(x: usize) -> Option<i32> {
    i32::try_from(x).ok()
}

impl Rewriter<'_> {
    fn call(&mut self, call: &Call) -> Option<Vec<Call>> {
        let source = self.program.library.function(&call.kernel)?.source.clone();
        match source.as_str() {
            "dense" => self.dense(&call.args),
            "conv_2d" => self.conv_2d(&call.args),
            "depthwise_conv_2d" => self.depthwise(&call.args),
            "add" => self.add(call),
            "average_pool" => self.average_pool(call),
            _ => None,
        }
    }

    fn data(&self, arg: Arg) -> Option<&Data> {
        match arg {
            Arg::Constant { constant, offset: 0 } => self.program.constants.get(constant).map(|c| &c.data),
            _ => None,
        }
    }

    fn numbers(&self, arg: Arg) -> Option<Vec<i32>> {
        Some(match self.data(arg)? {
            Data::I8(v) => v.iter().map(|&x| x.into()).collect(),
            Data::U8(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I16(v) => v.iter().map(|&x| x.into()).collect(),
            Data::U16(v) => v.iter().map(|&x| x.into()).collect(),
            Data::I32(v) => v.clone(),
            Data::I64(_) | Data::F32(_) => return None,
        })
    }

    /// Shifts to the right, and 1 for what has mantissa 0 anyway.
    fn shifts(&self, arg: Arg, mantissas: &[i32]) -> Option<Vec<i32>> {
        let left = matches!(self.data(arg)?, Data::I8(_));
        let shifts = self.numbers(arg)?.into_iter().zip(mantissas);
        Some(
            shifts
                .map(|(s, m)| match (*m, left) {
                    (0, _) => 1,
                    (_, true) => -s,
                    (_, false) => s,
                })
                .collect(),
        )
    }

    fn sizes(&self, arg: Arg) -> Option<Vec<usize>> {
        self.numbers(arg)?.into_iter().map(|n| usize::try_from(n).ok()).collect()
    }

    fn constant(&mut self, name: &str, role: Role, data: Data) -> usize {
        self.program.constants.push(ConstantData { name: name.to_owned(), data, role });
        self.program.constants.len() - 1
    }

    /// Memory for a copied image.
    fn scratch(&mut self, dot: Dot, len: usize) -> Arg {
        let elem = if dot == Dot::Wide { Elem::I16 } else { Elem::U8 };
        let step = &mut self.program.steps[self.step];
        self.program.buffers.push(Buffer {
            name: format!("image of {}", step.label),
            elem,
            len: len + image::SLACK,
            kind: BufferKind::Arena,
        });
        let buffer = self.program.buffers.len() - 1;
        step.scratch = vec![buffer];
        Arg::Buffer { buffer, offset: 0 }
    }

    /// The call that copies an image with its border, and the copy. `after` are values behind each row.
    fn image(&mut self, x: Arg, rows: usize, row: usize, edges: Edges, zero: i32, dot: Dot) -> Option<(Call, Arg)> {
        let width = edges.left + row + edges.right;
        let place = self.scratch(dot, (edges.top + rows + edges.bottom) * width);
        let before = edges.top * width + edges.left;
        let behind = edges.right + edges.bottom * width;
        let sizes = [rows, row, before, edges.left + edges.right, behind];
        let mut args = vec![x, place];
        args.extend(sizes.into_iter().map(int).collect::<Option<Vec<i32>>>()?.into_iter().map(Arg::Int));
        args.push(Arg::Int(zero));
        let kernel = self.rewritten.use_kernel(Kernel::Image(dot));
        Some((Call { kernel, args }, place))
    }

    /// Biases, factors, mantissas and shifts of all filters in groups of eight. `sums` bounds every filter's sum.
    fn table(&mut self, biases: &[i32], mantissas: &[i32], shifts: &[i32], sums: &[i64]) -> Option<(Arg, Form)> {
        if shifts.iter().any(|s| !(1..=31).contains(s)) || sums.iter().any(|s| *s >= 1 << 31) {
            return None;
        }
        let (table, form) = match near(biases, mantissas, shifts, sums) {
            Some(table) => (table, Form::Near),
            None => (apart(biases, mantissas, shifts, sums)?, Form::Apart),
        };
        let constant = self.constant("table", Role::Scales, Data::I32(table));
        Some((Arg::Constant { constant, offset: 0 }, form))
    }

    /// CONV_2D and FULLY_CONNECTED: the arguments of scales begin with the bias.
    fn product(&mut self, x: Arg, w: Arg, scales: [Arg; 3], y: Arg, g: &Geometry, bounds: [i32; 3]) -> Option<Vec<Call>> {
        let dot = self.dot;
        let Data::I8(weights) = self.data(w)? else { return None };
        let weights = weights.clone();
        let k = g.kernel_rows * g.run;
        // Whole rounds of the inner loop: two steps, or four where that is no more.
        let steps = g.run.div_ceil(dot.values()).next_multiple_of(2);
        let unroll = if steps.is_multiple_of(4) { 4 } else { 2 };
        let mut packed = vec![0i8; g.filters.next_multiple_of(8) * g.kernel_rows * steps * dot.values()];
        for (filter, values) in weights.chunks_exact(k).enumerate() {
            for (index, &value) in values.iter().enumerate() {
                let (row, at) = (index / g.run, index % g.run);
                let step = ((filter / 8 * g.kernel_rows + row) * steps + at / dot.values()) * 8 + filter % 8;
                *packed.get_mut(step * dot.values() + at % dot.values())? = value;
            }
        }
        let mut biases = self.numbers(scales[0])?;
        let mantissas = self.numbers(scales[1])?;
        let shifts = self.shifts(scales[2], &mantissas)?;
        if [biases.len(), mantissas.len(), shifts.len(), weights.len() / k.max(1)].iter().any(|n| *n != g.filters) {
            return None;
        }
        let mut sums = Vec::new();
        for (bias, row) in biases.iter_mut().zip(weights.chunks_exact(k)) {
            let magnitude: i64 = row.iter().map(|w| i64::from(*w).abs()).sum();
            sums.push(i64::from(*bias).abs() + 128 * magnitude);
            if dot == Dot::Relaxed {
                // The image's bytes are 128 more than its values.
                *bias = bias.wrapping_sub(128 * row.iter().map(|w| i32::from(*w)).sum::<i32>());
            }
        }
        let bytes = dot.bytes();
        let width = {
            let windows = (g.columns - 1) * g.strides[1] * g.channels + g.run;
            windows.max(g.padding[1] * g.channels + g.row)
        };
        let height = ((g.out_rows - 1) * g.strides[0] + g.kernel_rows).max(g.padding[0] + g.rows);
        let edges = Edges {
            left: g.padding[1] * g.channels,
            right: width - g.row - g.padding[1] * g.channels,
            top: g.padding[0],
            bottom: height - g.rows - g.padding[0],
        };
        let (table, form) = self.table(&biases, &mantissas, &shifts, &sums)?;
        let shape = conv::Shape { distance: u64::try_from(g.strides[1] * g.channels * bytes).ok()?, unroll, dot, form };
        let constant = self.constant("weights", Role::Weights, Data::I8(packed));
        if dot == Dot::Wide {
            self.rewritten.widened.push(constant);
        }
        let kernel = self.rewritten.use_kernel(Kernel::Conv(shape));
        let mut calls = Vec::new();
        for batch in 0..g.batches {
            let (copy, place) = self.image(shifted(x, batch * g.rows * g.row), g.rows, g.row, edges, g.zero, dot)?;
            calls.push(copy);
            let y = shifted(y, batch * g.out_rows * g.columns * g.filters);
            let sizes = [
                g.out_rows,
                g.columns,
                width * bytes,
                g.strides[0] * width * bytes,
                g.kernel_rows,
                steps * 8 * dot.values() * bytes,
                g.filters,
            ];
            let sizes = sizes.into_iter().map(|s| int(s).map(Arg::Int)).collect::<Option<Vec<Arg>>>()?;
            let mut args = vec![place, Arg::Constant { constant, offset: 0 }, table, y];
            args.extend(sizes);
            args.extend(bounds.map(Arg::Int));
            calls.push(Call { kernel: kernel.clone(), args });
        }
        Some(calls)
    }

    fn dense(&mut self, args: &[Arg]) -> Option<Vec<Call>> {
        let &[x, w, bias, mantissa, shift, y, _, p] = args else { return None };
        let bounds = self.numbers(p)?.get(3..6)?.try_into().ok()?;
        let &[rows, k, filters] =
            self.numbers(p)?.get(..3)?.iter().map(|n| usize::try_from(*n).ok()).collect::<Option<Vec<_>>>()?.as_slice()
        else {
            return None;
        };
        if rows == 0 || k == 0 || filters == 0 {
            return None;
        }
        let g = Geometry {
            batches: 1,
            rows: 1,
            row: rows * k,
            channels: k,
            out_rows: 1,
            columns: rows,
            filters,
            kernel_rows: 1,
            run: k,
            strides: [1, 1],
            padding: [0, 0],
            zero: 0,
        };
        self.product(x, w, [bias, mantissa, shift], y, &g, bounds)
    }

    fn conv_2d(&mut self, args: &[Arg]) -> Option<Vec<Call>> {
        let &[x, zero, w, bias, mantissa, shift, y, _, p] = args else { return None };
        let all = self.numbers(p)?;
        let bounds = all.get(16..19)?.try_into().ok()?;
        let p: Vec<usize> = all.get(..16)?.iter().map(|n| usize::try_from(*n).ok()).collect::<Option<_>>()?;
        // No groups, no dilation.
        if p[15] != p[3] || p[11] != 1 && p[7] != 1 || p[12] != 1 && p[8] != 1 || p.iter().take(11).any(|n| *n == 0) {
            return None;
        }
        let zero = self.numbers(zero)?.first().copied()?;
        let g = Geometry {
            batches: p[0],
            rows: p[1],
            row: p[2] * p[3],
            channels: p[3],
            out_rows: p[4],
            columns: p[5],
            filters: p[6],
            kernel_rows: p[7],
            run: p[8] * p[3],
            strides: [p[9], p[10]],
            padding: [p[13], p[14]],
            zero,
        };
        self.product(x, w, [bias, mantissa, shift], y, &g, bounds)
    }

    fn depthwise(&mut self, args: &[Arg]) -> Option<Vec<Call>> {
        let &[x, w, bias, mantissa, shift, y, p] = args else { return None };
        let all = self.numbers(p)?;
        let zero = *all.get(15)?;
        let bounds: [i32; 3] = all.get(16..19)?.try_into().ok()?;
        let p: Vec<usize> = all.get(..15)?.iter().map(|n| usize::try_from(*n).ok()).collect::<Option<_>>()?;
        let [batches, rows, columns, channels, out_rows, out_columns, filters, kh, kw] = p[..9].try_into().ok()?;
        let (strides, dilation, padding) = ([p[9], p[10]], [p[11], p[12]], [p[13], p[14]]);
        if channels != filters || channels % 8 != 0 || kh * kw > TAPS || p.iter().take(13).any(|n| *n == 0) {
            return None;
        }
        let weights = self.numbers(w)?;
        let taps = kh * kw;
        let pairs = taps.div_ceil(2);
        let mut packed = vec![0i8; channels * pairs * 2];
        for (index, &value) in weights.iter().enumerate() {
            let (tap, channel) = (index / channels, index % channels);
            let at = ((channel / 8 * pairs + tap / 2) * 8 + channel % 8) * 2 + tap % 2;
            *packed.get_mut(at)? = i8::try_from(value).ok()?;
        }
        let mut biases = self.numbers(bias)?;
        let mantissas = self.numbers(mantissa)?;
        let shifts = self.shifts(shift, &mantissas)?;
        if [biases.len(), mantissas.len(), shifts.len()].iter().any(|n| *n != channels) || weights.len() != taps * channels {
            return None;
        }
        let mut sums = Vec::new();
        for (channel, bias) in biases.iter_mut().enumerate() {
            let mine = || weights.iter().skip(channel).step_by(channels);
            *bias = bias.wrapping_sub(zero.wrapping_mul(mine().sum::<i32>()));
            sums.push(i64::from(*bias).abs() + 128 * mine().map(|w| i64::from(*w).abs()).sum::<i64>());
        }
        let width = ((out_columns - 1) * strides[1] + (kw - 1) * dilation[1] + 1).max(padding[1] + columns);
        let height = ((out_rows - 1) * strides[0] + (kh - 1) * dilation[0] + 1).max(padding[0] + rows);
        let edges = Edges {
            left: padding[1] * channels,
            right: (width - columns - padding[1]) * channels,
            top: padding[0],
            bottom: height - rows - padding[0],
        };
        let bytes = |values: usize| u64::try_from(2 * values * channels).ok();
        let offsets = (0..taps).map(|tap| bytes(tap / kw * dilation[0] * width + tap % kw * dilation[1])).collect::<Option<Vec<u64>>>()?;
        let (table, form) = self.table(&biases, &mantissas, &shifts, &sums)?;
        let shape = depthwise::Shape { channels: u64::try_from(channels).ok()?, taps: offsets, distance: bytes(strides[1])?, form };
        let constant = self.constant("weights", Role::Weights, Data::I8(packed));
        self.rewritten.widened.push(constant);
        let kernel = self.rewritten.use_kernel(Kernel::Depthwise(shape));
        let mut calls = Vec::new();
        for batch in 0..batches {
            let x = shifted(x, batch * rows * columns * channels);
            let (copy, place) = self.image(x, rows, columns * channels, edges, zero, Dot::Wide)?;
            calls.push(copy);
            let y = shifted(y, batch * out_rows * out_columns * channels);
            let step = int(strides[0] * width * channels * 2)?;
            let mut args = vec![place, Arg::Constant { constant, offset: 0 }, table, y];
            args.extend([int(out_rows)?, int(out_columns)?, step].map(Arg::Int));
            args.extend(bounds.map(Arg::Int));
            calls.push(Call { kernel: kernel.clone(), args });
        }
        Some(calls)
    }

    /// Windows that lie inside the image.
    fn average_pool(&mut self, call: &Call) -> Option<Vec<Call>> {
        let &[x, y, p] = call.args.as_slice() else { return None };
        let all = self.numbers(p)?;
        let bounds = all.get(12..14)?.to_vec();
        let p: Vec<usize> = all.get(..12)?.iter().map(|n| usize::try_from(*n).ok()).collect::<Option<_>>()?;
        let [batches, rows, columns, channels, out_rows, out_columns, kh, kw, sy, sx, py, px] = p.try_into().ok()?;
        let i8 =
            matches!(self.program.library.function(&call.kernel)?.params.first()?.1, octet_loops::lang::Ty::Ptr { elem: Elem::I8, .. });
        let inside = py == 0 && px == 0 && out_rows.checked_sub(1)? * sy + kh <= rows && out_columns.checked_sub(1)? * sx + kw <= columns;
        if !i8 || !inside || channels % 8 != 0 || channels == 0 || kh == 0 || kw == 0 || kh * kw >= 1 << 15 {
            return None;
        }
        let shape = pool::Shape { channels: u64::try_from(channels).ok()?, window: [int(kh)?, int(kw)?] };
        let kernel = self.rewritten.use_kernel(Kernel::Pool(shape));
        let sizes = [out_rows, out_columns, columns * channels, sy * columns * channels, sx * channels];
        let sizes = sizes.into_iter().map(|s| int(s).map(Arg::Int)).collect::<Option<Vec<Arg>>>()?;
        let calls = (0..batches).map(|batch| {
            let (x, y) = (shifted(x, batch * rows * columns * channels), shifted(y, batch * out_rows * out_columns * channels));
            let mut args = vec![x, y];
            args.extend(&sizes);
            args.extend(bounds.iter().map(|b| Arg::Int(*b)));
            Call { kernel: kernel.clone(), args }
        });
        Some(calls.collect())
    }

    fn add(&mut self, call: &Call) -> Option<Vec<Call>> {
        let &[a, b, y, q, p] = call.args.as_slice() else { return None };
        let sizes = self.sizes(p)?;
        let bytes = self.program.library.function(&call.kernel)?.params.first()?.1;
        let i8 = matches!(bytes, octet_loops::lang::Ty::Ptr { elem: Elem::I8, .. });
        let plain = sizes.get(..3)? == [1, 1, 1] && sizes.get(7) == Some(&1) && sizes.get(11) == Some(&1);
        let scales: add::Scales = self.numbers(q)?.try_into().ok()?;
        let n = *sizes.get(3)?;
        if !i8 || !plain || n % 8 != 0 || n == 0 || !add::fits(&scales) {
            return None;
        }
        let kernel = self.rewritten.use_kernel(Kernel::Add(scales));
        Some(vec![Call { kernel, args: vec![a, b, y, Arg::Int(int(n)?)] }])
    }
}

/// Values of the border: before and behind each row; rows above and below.
#[derive(Clone, Copy)]
struct Edges {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
}

fn shifted(place: Arg, by: usize) -> Arg {
    match place {
        Arg::Buffer { buffer, offset } => Arg::Buffer { buffer, offset: offset + by },
        Arg::Constant { constant, offset } => Arg::Constant { constant, offset: offset + by },
        Arg::Int(_) | Arg::Backward { .. } => place,
    }
}

/// The table of a layer whose shifts lie near each other, four by four.
fn near(biases: &[i32], mantissas: &[i32], shifts: &[i32], sums: &[i64]) -> Option<Vec<i32>> {
    let filters = biases.len();
    let mut table = Vec::new();
    for group in (0..filters).step_by(8) {
        let mut lanes = [[0i32; 8]; 3];
        let mut last = [3i32, 3, 0, 0];
        for (half, last) in last.iter_mut().take(2).enumerate() {
            let mine = (group + 4 * half).min(filters)..(group + 4 * half + 4).min(filters);
            // What stays below half a step always rounds to 0, whatever the mantissa.
            let none = |filter: usize| mantissas[filter] == 0 || sums[filter] < 1 << (shifts[filter] - 1);
            let largest = mine.clone().filter(|&f| !none(f)).map(|f| shifts[f]).max().unwrap_or(1) + 2;
            if largest > 31 {
                return None;
            }
            for filter in mine {
                let lane = filter - group;
                lanes[0][lane] = biases[filter];
                if none(filter) {
                    lanes[1][lane] = 4;
                    continue;
                }
                let distance = largest - shifts[filter];
                if sums[filter] >= 1 << (31 - distance) {
                    return None;
                }
                lanes[1][lane] = 1 << distance;
                lanes[2][lane] = mantissas[filter];
            }
            *last = largest - 1;
        }
        table.extend(lanes.concat());
        table.extend(last);
    }
    Some(table)
}

/// The table of any other layer.
fn apart(biases: &[i32], mantissas: &[i32], shifts: &[i32], sums: &[i64]) -> Option<Vec<i32>> {
    let shift = |filter: usize| if mantissas[filter] == 0 { 2 } else { shifts[filter] };
    // Half a step is added to what the first rounding leaves: that has to stay below 2^31.
    let fits = |f: usize| shift(f) >= 2 && ((sums[f] * i64::from(mantissas[f])) >> 31) + 1 + (1 << (shift(f) - 1)) < 1 << 31;
    if !(0..biases.len()).all(fits) {
        return None;
    }
    let mut table = Vec::new();
    for group in (0..biases.len()).step_by(8) {
        let lanes =
            |value: &dyn Fn(usize) -> i32| (group..group + 8).map(|f| if f < biases.len() { value(f) } else { 0 }).collect::<Vec<_>>();
        table.extend(lanes(&|f| biases[f]));
        table.extend(lanes(&|f| 1 << (32 - shift(f))));
        table.extend(lanes(&|f| mantissas[f]));
        table.extend(lanes(&|f| 1 << (shift(f) - 1)));
    }
    Some(table)
}
