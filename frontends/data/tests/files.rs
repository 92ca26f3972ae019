//! Data files, good and bad, as a model takes them.

use std::fs::File;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use octet_data::{Ahead, Feed, Input, Preprocess, Source, read_arrays, write_npy, write_npz};
use octet_ir::{Diagnostic, ElementType};
use octet_plugin::{DataSource, SampleStream, Tensor};

fn input(name: &str, elem: ElementType, shape: &[usize]) -> Input {
    let shape_of = shape.iter().map(|d| Some(*d)).collect();
    Input { name: name.into(), aliases: vec![], elem, quant: None, shape: shape_of, batch: shape.first().copied().unwrap_or(1) }
}

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor { elem: ElementType::F32, shape: shape.to_vec(), bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect() }
}

fn bytes(shape: &[usize], values: &[u8]) -> Tensor {
    Tensor { elem: ElementType::U8, shape: shape.to_vec(), bytes: values.to_vec() }
}

fn npz(path: &Path, arrays: &[(&str, &Tensor)]) {
    write_npz(arrays.iter().copied(), File::create(path).unwrap()).unwrap();
}

fn npy(path: &Path, tensor: &Tensor) {
    write_npy(tensor, &mut File::create(path).unwrap()).unwrap();
}

fn open(inputs: Vec<Input>, path: &Path) -> Result<octet_data::FileStream, Diagnostic> {
    Source::new(inputs).open_path(path)
}

fn read(stream: &dyn SampleStream, column: usize) -> Vec<f32> {
    let tensor = stream.read(column, 0..stream.samples()).unwrap();
    assert_eq!(tensor.elem, ElementType::F32);
    tensor.bytes.as_chunks().0.iter().map(|c| f32::from_le_bytes(*c)).collect()
}

/// Runs `make` on a path in a folder of its own, then gives the code with which opening and reading it fails.
fn code_of(inputs: Vec<Input>, name: &str, make: impl FnOnce(&Path)) -> &'static str {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    make(&path);
    match open(inputs, &path).and_then(|s| s.read(0, 0..s.samples())) {
        Ok(tensor) => panic!("read {tensor:?}"),
        Err(d) => {
            assert!(d.location.file.is_some(), "{d}");
            d.code
        }
    }
}

fn one() -> Vec<Input> {
    vec![input("image", ElementType::F32, &[1, 2])]
}

#[test]
fn which_array_feeds_which_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let (x, y) = (floats(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), floats(&[3], &[7.0, 8.0, 9.0]));
    npz(&path, &[("y", &y), ("x", &x)]);
    assert_eq!(read(&open(one(), &path).unwrap(), 0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let both = vec![input("serving_default_y:0", ElementType::F32, &[1]), input("x", ElementType::F32, &[1, 2])];
    let stream = open(both.clone(), &path).unwrap();
    assert_eq!((stream.samples(), read(&stream, 0), stream.columns()[1].shape.clone()), (3, vec![7.0, 8.0, 9.0], vec![2]));
    let third = [both, vec![input("z", ElementType::F32, &[1])]].concat();
    assert_eq!(open(third, &path).unwrap_err().code, "DAT010");
    let two = folder.path().join("b.npz");
    npz(&two, &[("a", &x), ("b", &x)]);
    assert_eq!(open(one(), &two).unwrap_err().code, "DAT010");
}

#[test]
fn arguments_name_inputs_and_follow_one_another() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.npy"), folder.path().join("b=c.npy"));
    npy(&a, &floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]));
    npy(&b, &floats(&[2], &[5.0, 6.0]));
    let text = |p: &PathBuf| p.display().to_string();
    let source = Source::new(one()).set("both", vec![format!("image={}", text(&a)), text(&b)]);
    let stream = source.stream("both").unwrap();
    assert_eq!(read(&*stream, 0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(stream.read(0, 1..3).unwrap().bytes, [3.0f32, 4.0, 5.0, 6.0].map(f32::to_le_bytes).concat());
    assert_eq!(stream.read(0, 1..4).unwrap_err().code, "DAT023");
    assert_eq!(source.open("both").unwrap().arrays[0].tensor.shape, [3, 2]);
    // A folder of both, in sorted order.
    assert_eq!(read(&open(one(), folder.path()).unwrap(), 0), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn a_fixed_batch_is_one_sample() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    npy(&path, &floats(&[4, 1], &[1.0, 2.0, 3.0, 4.0]));
    let stream = open(vec![input("x", ElementType::F32, &[2, 1])], &path).unwrap();
    assert_eq!((stream.samples(), stream.columns()[0].shape.clone()), (2, vec![2, 1]));
    assert_eq!(stream.read(0, 1..2).unwrap().bytes, [3.0f32, 4.0].map(f32::to_le_bytes).concat());
    assert_eq!(open(vec![input("x", ElementType::F32, &[3, 1])], &path).unwrap_err().code, "DAT011");
}

#[test]
fn written_arrays_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let i4 = Tensor { elem: ElementType::I4, shape: vec![3], bytes: vec![0xf1, 0x08] };
    npz(&path, &[("f", &floats(&[1, 2], &[1.5, -2.0])), ("packed", &i4)]);
    let read = read_arrays(&path).unwrap();
    assert_eq!(read[0].tensor, floats(&[1, 2], &[1.5, -2.0]));
    assert_eq!(read[1].tensor, Tensor { elem: ElementType::I8, shape: vec![3], bytes: vec![1, 255, 248] });
    let again = folder.path().join("b.npz");
    npz(&again, &[("f", &floats(&[1, 2], &[1.5, -2.0])), ("packed", &i4)]);
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&again).unwrap());
}

fn picture(path: &Path, width: u32, height: u32, value: impl Fn(u32, u32) -> [u8; 3]) {
    image::RgbImage::from_fn(width, height, |x, y| image::Rgb(value(x, y))).save(path).unwrap();
}

#[test]
fn pictures() {
    let folder = tempfile::tempdir().unwrap();
    for (n, name) in ["b/2.png", "a/1.png", "a/3.PNG"].iter().enumerate() {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        picture(&path, 3, 2, |x, y| [n as u8 * 100, x as u8, y as u8]);
    }
    std::fs::write(folder.path().join("labels.txt"), "one two").unwrap();
    let rgb = || vec![input("image", ElementType::F32, &[1, 2, 3, 3])];
    let stream = Source::new(rgb()).preprocess("scale=1:2:3".parse().unwrap()).open_path(folder.path()).unwrap();
    assert_eq!(stream.samples(), 3);
    let values = read(&stream, 0);
    // a/1.png comes first, then a/3.PNG, then b/2.png.
    assert_eq!((values[0], values[18], values[36]), (100.0, 200.0, 0.0));
    assert_eq!(values[15..18], [100.0, 4.0, 3.0]);
    let large = vec![input("image", ElementType::F32, &[1, 4, 4, 3])];
    let d = open(large.clone(), folder.path()).unwrap_err();
    assert_eq!((d.code, d.help.is_some()), ("DAT021", true));
    let resized = Source::new(large).preprocess("resize=bilinear,crop=center".parse().unwrap()).open_path(folder.path()).unwrap();
    assert_eq!(read(&resized, 0).len(), 3 * 4 * 4 * 3);
    let gray = open(vec![input("image", ElementType::U8, &[1, 2, 3])], folder.path()).unwrap();
    assert_eq!(gray.read(0, 0..3).unwrap().shape, [3, 2, 3]);
    assert_eq!(open(one(), folder.path()).unwrap_err().code, "DAT022");
}

#[test]
fn quantized_inputs_take_real_numbers_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    npy(&path, &floats(&[1, 2], &[0.0, 1.0]));
    let quantized = || vec![Input { quant: Some((0.5, -10)), ..input("x", ElementType::I8, &[1, 2]) }];
    let d = open(quantized(), &path).unwrap_err();
    assert_eq!(d.code, "DAT012");
    assert!(d.help.unwrap().contains("--dequantize"));
    let stream = Source::new(quantized()).feed(Feed::Real).open_path(&path).unwrap();
    assert_eq!(stream.read(0, 0..1).unwrap().bytes, [246, 248]);
}

#[test]
fn preprocessing_must_apply() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    npy(&path, &floats(&[1, 2], &[0.0, 1.0]));
    let open = |p: &str| Source::new(one()).preprocess(p.parse::<Preprocess>().unwrap()).open_path(&path).map(|s| read(&s, 0));
    assert_eq!(open("image:scale=2").unwrap(), [0.0, 2.0]);
    assert_eq!(open("other:scale=2").unwrap_err().code, "DAT031");
    assert_eq!(open("mean=1:2:3").unwrap_err().code, "DAT031");
}

#[test]
fn bad_arrays_have_codes() {
    assert_eq!(code_of(one(), "missing.npz", |_| ()), "DAT001");
    assert_eq!(code_of(one(), "folder", |p| std::fs::create_dir(p).unwrap()), "DAT002");
    assert_eq!(code_of(one(), "a.txt", |p| std::fs::write(p, "1 2 3").unwrap()), "DAT002");
    assert_eq!(code_of(one(), "a.npy", |p| std::fs::write(p, "").unwrap()), "DAT005");
    assert_eq!(code_of(one(), "a.npz", |p| std::fs::write(p, "").unwrap()), "DAT006");
    assert_eq!(code_of(one(), "a.png", |p| std::fs::write(p, "no").unwrap()), "DAT022");
    let image = || vec![input("image", ElementType::F32, &[1, 2, 3, 3])];
    assert_eq!(code_of(image(), "a.png", |p| std::fs::write(p, "no").unwrap()), "DAT020");
    assert_eq!(code_of(one(), "a.npy", |p| npy(p, &floats(&[3], &[1.0, 2.0, 3.0]))), "DAT011");
    assert_eq!(code_of(one(), "a.npy", |p| npy(p, &floats(&[0, 2], &[]))), "DAT015");
    assert_eq!(code_of(one(), "a.npy", |p| npy(p, &floats(&[1, 2], &[1.0, f32::NAN]))), "DAT013");
    assert_eq!(code_of(one(), "a.npz", |p| npz(p, &[])), "DAT010");
    let two = vec![input("x", ElementType::F32, &[1]), input("y", ElementType::F32, &[1])];
    let uneven = |p: &Path| npz(p, &[("x", &floats(&[2], &[1.0, 2.0])), ("y", &floats(&[1], &[1.0]))]);
    assert_eq!(code_of(two, "a.npz", uneven), "DAT014");
}

#[test]
fn samples_without_elements_are_refused() {
    let none = vec![input("image", ElementType::F32, &[1, 0])];
    let empty = |rows: usize| Tensor { elem: ElementType::F32, shape: vec![rows, 0], bytes: vec![] };
    assert_eq!(code_of(none.clone(), "a.npy", |p| npy(p, &empty(1 << 62))), "DAT011");
    assert_eq!(code_of(none, "a.npy", |p| npy(p, &empty(3))), "DAT011");
}

#[test]
fn truncated_files_have_codes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.npy");
    npy(&path, &bytes(&[3, 2], &[1, 2, 3, 4, 5, 6]));
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        let code = code_of(one(), "a.npy", |p| std::fs::write(p, &whole[..cut]).unwrap());
        assert!(matches!(code, "DAT003" | "DAT005"), "{cut}: {code}");
    }
    npz(&path, &[("x", &bytes(&[3, 2], &[1, 2, 3, 4, 5, 6]))]);
    let whole = std::fs::read(&path).unwrap();
    for cut in (0..whole.len()).step_by(7) {
        assert_eq!(code_of(one(), "a.npz", |p| std::fs::write(p, &whole[..cut]).unwrap()), "DAT006");
    }
}

/// A compressed archive of one entry with these bytes.
fn compressed(entry: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    archive.start_file("x.npy", options).unwrap();
    archive.write_all(entry).unwrap();
    archive.finish().unwrap().into_inner()
}

#[test]
fn compressed_archives() {
    let mut entry = Vec::new();
    write_npy(&floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), &mut entry).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    std::fs::write(&path, compressed(&entry)).unwrap();
    assert_eq!(read(&open(one(), &path).unwrap(), 0), [1.0, 2.0, 3.0, 4.0]);
    // More data than the array's shape accounts for: a bomb is not inflated.
    let bomb = [entry, vec![0; 1 << 24]].concat();
    assert_eq!(code_of(one(), "a.npz", |p| std::fs::write(p, compressed(&bomb)).unwrap()), "DAT006");
}

#[test]
fn small_archives_do_not_inflate_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.npy");
    npy(&plain, &floats(&[12 << 20, 2], &vec![0.0; 24 << 20]));
    let archive = compressed(&std::fs::read(&plain).unwrap());
    assert!(archive.len() < 1 << 20);
    assert_eq!(code_of(one(), "a.npz", |p| std::fs::write(p, &archive).unwrap()), "DAT007");
}

#[test]
fn one_array_feeds_one_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    npz(&path, &[("x", &floats(&[1, 2], &[1.0, 2.0]))]);
    let twins = vec![input("x", ElementType::F32, &[1, 2]), input("x", ElementType::F32, &[1, 2])];
    let error = open(twins.clone(), &path).err().unwrap();
    assert!(error.code == "DAT010" && error.to_string().contains("#0="), "{error}");
    let other = folder.path().join("b.npy");
    npy(&other, &floats(&[1, 2], &[3.0, 4.0]));
    let arguments = [format!("#1={}", other.display()), format!("#0={}", path.display())];
    let stream = Source::new(twins).open_files("both", &arguments).unwrap();
    assert_eq!((read(&stream, 0), read(&stream, 1)), (vec![1.0, 2.0], vec![3.0, 4.0]));
}

#[test]
fn flipped_bits_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("whole.npz");
    npz(&path, &[("x", &floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]))]);
    let png = folder.path().join("p.png");
    picture(&png, 3, 2, |_, _| [1, 2, 3]);
    let mut entry = Vec::new();
    write_npy(&floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]), &mut entry).unwrap();
    let originals = [
        ("a.npz", std::fs::read(&path).unwrap()),
        ("a.npz", compressed(&entry)),
        ("a.npy", entry),
        ("a.png", std::fs::read(&png).unwrap()),
    ];
    for (name, original) in originals {
        let target = folder.path().join(name);
        for bit in (0..original.len() * 8).step_by(3) {
            let mut damaged = original.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&target, &damaged).unwrap();
            let inputs = if name == "a.png" { vec![input("image", ElementType::F32, &[1, 2, 3, 3])] } else { one() };
            if let Ok(stream) = open(inputs, &target) {
                let _ = stream.read(0, 0..stream.samples());
            }
        }
    }
}

#[test]
fn files_that_are_opened_ahead_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (path, missing) = (folder.path().join("a.npz"), folder.path().join("none.npz"));
    npz(&path, &[("image", &floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]))]);
    let arguments = [format!("image={}", path.display()), missing.display().to_string()];
    let ahead = Ahead::open(&arguments);
    let source = || Source::new(one()).ahead(ahead.clone());
    // Twice: from the thread, then from the disk.
    for _ in 0..2 {
        let stream = source().open_files("--data", &arguments[..1]).unwrap();
        assert_eq!(read(&stream, 0), [1.0, 2.0, 3.0, 4.0]);
    }
    assert_eq!(source().open_files("--data", &arguments).unwrap_err().code, "DAT001");
    // What is wrong with a file is told by whoever asks for it.
    std::fs::write(&path, b"PK damaged").unwrap();
    let damaged = Source::new(one()).ahead(Ahead::open(&arguments[..1])).open_files("--data", &arguments[..1]);
    assert_eq!(damaged.unwrap_err().code, "DAT006");
}
