//! `NAME_memory.svg`: the arena over time. Every buffer is a bar from its first to its last operation, as high as it is large.

use std::fmt::Write as _;

use octet_loops::Program;
use octet_loops::plan::Plan;

const WIDTH: usize = 1200;
const HEIGHT: usize = 600;
const LEFT: usize = 90;
const TOP: usize = 40;

/// Text that may stand in XML.
fn escaped(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).collect();
    clean.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The picture.
pub(crate) fn svg(name: &str, program: &Program, plan: &Plan) -> String {
    let steps = program.steps.len() + 1;
    let x = |step: usize| LEFT + step * WIDTH / steps;
    let y = |byte: usize| TOP + HEIGHT - byte * HEIGHT / plan.size.max(1);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n",
        LEFT + WIDTH + 20,
        TOP + HEIGHT + 40
    );
    let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"20\">{name}: {} bytes of arena, lower bound {}</text>", plan.size, plan.lower_bound);
    for quarter in 0..=4 {
        let byte = plan.size * quarter / 4;
        let at = y(byte);
        let _ = writeln!(text, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{byte}</text>", LEFT - 6, at + 4);
        let _ = writeln!(text, "<line x1=\"{LEFT}\" y1=\"{at}\" x2=\"{}\" y2=\"{at}\" stroke=\"#ddd\"/>", LEFT + WIDTH);
    }
    for (buffer, (offset, life)) in program.buffers.iter().zip(plan.offsets.iter().zip(&plan.lives)) {
        let (Some(offset), Some((first, last))) = (offset, life) else { continue };
        let (top, bottom) = (y(offset + buffer.bytes()), y(*offset));
        let hue = (offset * 7 + first * 53) % 360;
        let (left, right) = (x(*first), x(last + 1));
        let _ = writeln!(
            text,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" fill=\"hsl({hue}, 60%, 75%)\" fill-opacity=\"0.75\" \
             stroke=\"#555\"><title>{}: {} bytes at \
             {offset}, operations {first} to {last}</title></rect>",
            (right - left).max(1),
            (bottom - top).max(1),
            escaped(&buffer.name),
            buffer.bytes()
        );
    }
    let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"{}\">operations 0 to {}, in order</text>", TOP + HEIGHT + 25, steps.saturating_sub(2));
    text.push_str("</svg>\n");
    text
}
