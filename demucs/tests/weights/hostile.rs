//! Files made to hurt: refused in one sentence, no panic, no memory beyond their size.

use std::io::{Cursor, Write as _};

use demucs::weights::{Checkpoint, WeightsError};
use proptest::prelude::*;
use proptest::sample::Index;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::graph::{field, initialiser, model, node, number};
use crate::{ATTACK, LEGACY, SAFETENSORS, TORCH, VIEWS, pattern, read, refusal};

/// A zip as torch makes it, around any pickle.
fn torch_zip(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let data: Vec<(String, &[u8])> =
        storages.iter().map(|(key, bytes)| (format!("x/data/{key}"), *bytes)).collect();
    for (name, bytes) in [("x/data.pkl".to_owned(), pickle)].into_iter().chain(data) {
        zip.start_file(name, stored).expect("an entry");
        zip.write_all(bytes).expect("bytes in memory");
    }
    zip.finish().expect("a zip in memory").into_inner()
}

/// A checkpoint of one tensor `w`, described by the four texts of a pickle.
fn view(storage: &str, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let ints = |values: &[u8]| {
        [b"(".as_slice(), &values.iter().flat_map(|v| [b'K', *v]).collect::<Vec<_>>(), b"t"].concat()
    };
    let mut pickle = b"\x80\x02}(X\x05\0\0\0klasscdemucs.htdemucs\nHTDemucs\nX\x06\0\0\0kwargs}".to_vec();
    pickle.extend(b"X\x05\0\0\0state}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage");
    pickle.extend(format!("ctorch\n{storage}\n").bytes());
    pickle.extend(b"X\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ");
    pickle.extend([b'K', offset]);
    pickle.extend(ints(shape));
    pickle.extend(ints(strides));
    pickle.extend(b"\x89}tRsu.");
    torch_zip(&pickle, &[("0", &[0; 16])])
}

#[test]
fn malicious_pickle_is_refused_by_the_name_it_asks_for() {
    match Checkpoint::from_bytes(ATTACK) {
        Err(WeightsError::RefusedGlobal { global }) => assert_eq!(global, "posix.system"),
        other => panic!("{other:?}"),
    }
    for (pickle, global) in [
        ("cos\nsystem\n(X\x04\0\0\0truetR.", "os.system"),
        ("c__builtin__\neval\n(X\x01\0\0\x001tR.", "__builtin__.eval"),
        ("cdemucs.htdemucs\nHTDemucs\n)R.", "demucs.htdemucs.HTDemucs(..)"),
    ] {
        let text = refusal(&torch_zip(pickle.as_bytes(), &[]));
        assert!(text.contains(&format!("`{global}`")), "{text}");
    }
    let stack_global = b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94.";
    assert!(refusal(&torch_zip(stack_global, &[])).contains("`os.system`"));
}

#[test]
fn view_beyond_its_storage_is_refused() {
    assert_eq!(
        Checkpoint::from_bytes(&view("FloatStorage", 0, &[2, 2], &[2, 1])).map(|c| c.parameters()).ok(),
        Some(4)
    );
    assert_eq!(
        Checkpoint::from_bytes(&view("FloatStorage", 0, &[2, 2], &[1, 2])).map(|c| c.parameters()).ok(),
        Some(4)
    );
    for (offset, shape, strides) in [(1, [2, 2], [2, 1]), (0, [2, 2], [3, 1]), (0, [5, 1], [1, 1])] {
        assert!(refusal(&view("FloatStorage", offset, &shape, &strides)).contains("lies outside its values"));
    }
}

#[test]
fn views_that_repeat_values_cannot_outgrow_the_file() {
    assert!(
        refusal(&view("FloatStorage", 0, &[255, 255, 255], &[0, 0, 0])).contains("lies outside its values")
    );
    assert!(refusal(&view("FloatStorage", 0, &[255; 8], &[0; 8])).contains("lies outside its values"));
}

#[test]
fn kinds_of_value_that_are_not_read_are_named() {
    assert_eq!(
        refusal(&view("ByteStorage", 0, &[4], &[1])),
        "tensor `w` holds u8 values, only f16, bf16, f32, f64 and i64 are read"
    );
}

#[test]
fn pickle_that_refers_to_itself_ends() {
    // kwargs is a list that holds itself.
    let mut pickle = b"\x80\x02}(X\x05\0\0\0klasscdemucs.htdemucs\nHTDemucs\nX\x06\0\0\0kwargs".to_vec();
    pickle.extend(b"}q\0X\x01\0\0\0ah\0sX\x05\0\0\0state}u.");
    assert!(refusal(&torch_zip(&pickle, &[])).contains("nested too deeply"));
}

#[test]
fn arguments_that_double_at_every_level_end() {
    // Ten lists, each of them holding the one before ten times: ten thousand million values from 300 bytes.
    let mut pickle =
        b"\x80\x02}(X\x05\0\0\0klasscdemucs.htdemucs\nHTDemucs\nX\x06\0\0\0kwargs}X\x01\0\0\0a]q\0".to_vec();
    for level in 0..10u8 {
        pickle.extend(b"0](");
        pickle.extend([b'h', level].repeat(10));
        pickle.extend([b'e', b'q', level + 1]);
    }
    pickle.extend(b"sX\x05\0\0\0state}u.");
    assert!(refusal(&torch_zip(&pickle, &[])).contains("too many arguments"));
}

#[test]
fn other_networks_are_told_what_is_supported() {
    let pickle = b"\x80\x02}(X\x05\0\0\0klasscdemucs.hdemucs\nHDemucs\nX\x06\0\0\0kwargs}X\x05\0\0\0state}u.";
    assert_eq!(
        refusal(&torch_zip(pickle, &[])),
        "the checkpoint holds a `demucs.hdemucs.HDemucs`, only HTDemucs networks are supported"
    );
    assert!(refusal(&torch_zip(b"\x80\x02}.", &[])).contains("it has no `klass`"));
    assert!(refusal(&torch_zip(b"\x80\x02].", &[])).contains("its checkpoint is no dictionary"));
}

#[test]
fn truncated_files_are_damaged_in_one_sentence() {
    for file in [TORCH, VIEWS, SAFETENSORS, &graph()] {
        for length in 0..file.len() {
            let text = refusal(&file[..length]);
            assert!(text.len() < 200 && !text.contains('\n'), "{text}");
        }
    }
}

#[test]
fn a_cut_off_safetensors_file_is_told_where_it_ends() {
    let length = u64::from_le_bytes(*SAFETENSORS.first_chunk().expect("a length"));
    let header = 8 + usize::try_from(length).expect("a short header");
    for (end, place) in
        [(10, "inside its header"), (header - 1, "inside its header"), (header, "at or before")]
    {
        let text = refusal(&SAFETENSORS[..end]);
        assert!(text.starts_with("damaged safetensors checkpoint: it is cut off "), "{text}");
        assert!(text.contains(place) && text.ends_with(&format!(", after {end} bytes")), "{text}");
    }
    // The tensor that the values end in.
    let names = ["a", "b"]
        .map(|name| refusal(&two_tensors()[..two_tensors().len() - if name == "a" { 5 } else { 4 }]));
    assert!(names[0].contains("tensor `a`") && names[1].contains("tensor `b`"), "{names:?}");
}

/// Four bytes each.
fn two_tensors() -> Vec<u8> {
    let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat()
}

#[test]
fn header_longer_than_any_network_needs_is_refused() {
    let mut file = (5u64 << 20).to_le_bytes().to_vec();
    file.push(b'{');
    file.resize(8 + (5 << 20), b' ');
    assert!(refusal(&file).contains("its header is longer than 4194304 bytes"));
}

#[test]
fn safetensors_without_architecture_are_refused_unless_the_network_is_known() {
    let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  "#;
    let file = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat();
    assert!(refusal(&file).contains("does not say how its network is built"));
    let quantised = br#"{"__metadata__":{"structure":"","kwargs":"{}"},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
    let file = [&(quantised.len() as u64).to_le_bytes()[..], quantised, &[0; 4]].concat();
    assert!(refusal(&file).contains("quantised"));
}

#[test]
fn graph_with_a_constant_in_a_foreign_place_is_refused() {
    let constant = initialiser("onnx::Div_1", &[2], &[1.0, 2.0]);
    assert!(
        refusal(&model(std::slice::from_ref(&constant))).contains("nothing uses its constant `onnx::Div_1`")
    );
    assert!(refusal(&model(&[node("/a/Div", "Div", "onnx::Div_1"), constant])).contains("Div of `/a/Div`"));
    assert!(refusal(&model(&[initialiser("a", &[3], &[1.0])])).contains("do not fill its shape"));
    let twice = initialiser("a", &[1], &[1.0]);
    assert!(refusal(&model(&[twice.clone(), twice])).contains("tensor `a` twice"));
    let elsewhere = field(5, &[field(8, b"a"), number(14, 1)].concat());
    assert!(refusal(&model(&[elsewhere])).contains("lie in another file"));
    let huge = field(5, &[number(1, usize::MAX), number(1, 2), number(2, 1), field(8, b"a")].concat());
    assert!(refusal(&model(&[huge])).contains("do not fill its shape"));
}

#[test]
fn nothing_of_a_file_reaches_a_message_unfiltered() {
    let name = format!("os\u{1b}[31m{}", "x".repeat(500));
    let text = refusal(&torch_zip(format!("c{name}\nsystem\n.").as_bytes(), &[]));
    assert!(!text.contains('\u{1b}') && text.len() < 250, "{text}");
}

fn graph() -> Vec<u8> {
    model(&[
        node("/encoder.0/dconv/layers.0/layers.0.1/Mul", "Mul", "onnx::Mul_1"),
        node("/crosstransformer/layers.1/cross_attn/MatMul", "MatMul", "onnx::MatMul_2"),
        node("/crosstransformer/layers.1/cross_attn/MatMul_1", "MatMul", "onnx::MatMul_3"),
        node("/crosstransformer/layers.1/cross_attn/Add", "Add", "onnx::Add_4"),
        node("/crosstransformer/layers.1/cross_attn/Add_1", "Add", "onnx::Add_5"),
        node("/Expand", "Expand", "onnx::Expand_6"),
        initialiser("onnx::Mul_1", &[2, 1], &pattern(2)),
        initialiser("onnx::MatMul_2", &[2, 2], &pattern(4)),
        initialiser("onnx::MatMul_3", &[2, 4], &pattern(8)),
        initialiser("onnx::Add_4", &[2], &pattern(2)),
        initialiser("onnx::Add_5", &[4], &pattern(4)),
        initialiser("onnx::Expand_6", &[1, 2, 3, 1], &pattern(6)),
        initialiser("encoder.0.conv.weight", &[4, 2, 3], &pattern(24)),
    ])
}

#[test]
fn numpy_numbers_among_the_training_records_are_passed_over() {
    let new = inner_pickle();
    let old = replaced(&new, b"numpy._core.multiarray", b"numpy.core.multiarray");
    assert_ne!(new, old, "the fixture holds numpy numbers");
    assert_eq!(read(&sound_zip(&old)).tensors.len(), 3);
}

#[test]
fn fraction_may_be_written_as_numbers_or_as_text() {
    // The fixture has two numbers; the Python of 2022, which wrote the official files, a text.
    let numbers = inner_pickle();
    let text = replaced(&numbers, b"K\x27K\x05\x86", b"X\x04\0\0\x0039/5\x85");
    assert_ne!(numbers, text);
    assert_eq!(read(&sound_zip(&text)).kwargs, read(TORCH).kwargs);
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend([&rest[..at], to].concat());
        rest = &rest[at + from.len()..];
    }
    out.extend(rest);
    out
}

/// The storages that the pickle of the fixture refers to, around another pickle.
fn sound_zip(pickle: &[u8]) -> Vec<u8> {
    torch_zip(pickle, &[("0", &[0; 48]), ("1", &[0; 8]), ("2", &[0; 40])])
}

/// The pickle of the real fixture, to be damaged behind a sound zip checksum.
fn inner_pickle() -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(Cursor::new(TORCH)).expect("the fixture");
    let mut entry = zip.by_name("tiny/data.pkl").expect("its pickle");
    let mut pickle = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut pickle).expect("its bytes");
    pickle
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn mutated_files_never_panic(
        which in 0usize..5,
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<Index>()),
    ) {
        let mut file = [TORCH, VIEWS, SAFETENSORS, LEGACY, &graph()][which].to_vec();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Err(error) = Checkpoint::from_bytes(&file) {
            let text = error.to_string();
            prop_assert!(text.len() < 400, "{text}");
        }
    }

    #[test]
    fn mutated_pickles_in_a_sound_zip_never_panic(
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        inserted in prop::option::of((any::<Index>(), prop::collection::vec(any::<u8>(), 0..16))),
    ) {
        let mut pickle = inner_pickle();
        for (at, byte) in changes {
            let at = at.index(pickle.len());
            pickle[at] = byte;
        }
        if let Some((at, bytes)) = inserted {
            let at = at.index(pickle.len());
            pickle.splice(at..at, bytes);
        }
        if let Err(error) = Checkpoint::from_bytes(&sound_zip(&pickle)) {
            prop_assert!(error.to_string().len() < 400);
        }
    }

    #[test]
    fn random_bytes_behind_each_magic_never_panic(
        magic in prop::sample::select(vec![&b"PK\x03\x04"[..], b"\x08\x08\x12", b"\x08\x08\x3a", b"\x80\x02", b"\x20\0\0\0\0\0\0\0{"]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = Checkpoint::from_bytes(&[magic, &bytes].concat());
    }
}
