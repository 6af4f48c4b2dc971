//! The same network out of every container.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use demucs::weights::{Checkpoint, Container, Fingerprint};
use serde_json::{Map, json};

use crate::graph::{initialiser, model, node};
use crate::{LEGACY, SAFETENSORS, TORCH, VIEWS, pattern, read, refusal, values};

fn checkpoint(tensors: &[(&str, &[usize], Vec<f32>)]) -> Checkpoint {
    let tensor = |(name, shape, values): &(&str, &[usize], Vec<f32>)| {
        let tensor = Tensor::from_slice(values, *shape, &Device::Cpu).expect("values that fill the shape");
        ((*name).to_owned(), tensor)
    };
    let kwargs =
        json!({"sources": ["drums"], "segment": {"_type": "fraction", "numerator": 39, "denominator": 5}});
    let kwargs: Map<_, _> = kwargs.as_object().cloned().unwrap_or_default();
    Checkpoint { kwargs, tensors: tensors.iter().map(tensor).collect::<BTreeMap<_, _>>() }
}

#[test]
fn torch_checkpoint_gives_its_tensors_in_single_precision() {
    let checkpoint = read(TORCH);
    assert_eq!(checkpoint.tensors["encoder.0.conv.weight"].dims(), [4, 2, 3]);
    assert_eq!(values(&checkpoint, "encoder.0.conv.weight"), pattern(24));
    assert_eq!(values(&checkpoint, "encoder.0.conv.bias"), pattern(4));
    assert_eq!(checkpoint.parameters(), 24 + 4 + 20);
}

#[test]
fn constructor_arguments_are_the_same_from_torch_and_safetensors() {
    let (torch, safetensors) = (read(TORCH), read(SAFETENSORS));
    assert_eq!(torch.kwargs, safetensors.kwargs);
    assert_eq!(torch.kwargs["segment"], json!({"_type": "fraction", "numerator": 39, "denominator": 5}));
    assert_eq!(torch.kwargs["freq_emb"], json!(0.2));
    assert_eq!(torch.kwargs["channels_time"], json!(null));
    assert_eq!(torch.sources(), ["drums", "vocals"]);
}

#[test]
fn positional_sources_become_a_named_argument() {
    assert_eq!(read(VIEWS).sources(), ["drums", "vocals"]);
}

#[test]
fn one_network_has_one_fingerprint_in_every_container() {
    let fingerprint = read(TORCH).fingerprint();
    assert_eq!(read(SAFETENSORS).fingerprint(), fingerprint);
    assert_eq!(
        read(VIEWS).fingerprint(),
        fingerprint,
        "strides and kinds of value are not part of a network"
    );
    let installed = read(TORCH).to_safetensors().expect("the install format");
    assert_eq!(read(&installed).fingerprint(), fingerprint);
    let graph = model(&[
        initialiser("encoder.0.conv.weight", &[4, 2, 3], &pattern(24)),
        initialiser("encoder.0.conv.bias", &[4], &pattern(4)),
        initialiser("freq_emb.embedding.weight", &[5, 4], &pattern(20)),
    ]);
    assert_eq!(read(&graph).fingerprint(), fingerprint);
}

#[test]
fn fingerprint_sees_names_shapes_values_and_the_sign_of_zero() {
    let print =
        |name, shape: &[usize], values: [f32; 4]| checkpoint(&[(name, shape, values.to_vec())]).fingerprint();
    let plain = print("a", &[2, 2], [0.0, 1.0, 2.0, 3.0]);
    assert_ne!(plain, print("b", &[2, 2], [0.0, 1.0, 2.0, 3.0]));
    assert_ne!(plain, print("a", &[4], [0.0, 1.0, 2.0, 3.0]));
    assert_ne!(plain, print("a", &[2, 2], [0.0, 1.0, 2.0, 4.0]));
    assert_ne!(plain, print("a", &[2, 2], [-0.0, 1.0, 2.0, 3.0]));
    let odd_nan = f32::from_bits(0xffc0_1234);
    assert_eq!(
        print("a", &[4], [f32::NAN, 1.0, 2.0, 3.0]),
        print("a", &[4], [odd_nan, 1.0, 2.0, 3.0]),
        "all NaN count as one"
    );
}

#[test]
fn fingerprint_is_text_and_back() {
    let fingerprint = read(TORCH).fingerprint();
    let text = fingerprint.to_string();
    assert_eq!(text.len(), 64);
    assert_eq!(text.parse::<Fingerprint>(), Ok(fingerprint));
    assert_eq!(text.to_uppercase().parse::<Fingerprint>(), Ok(fingerprint));
    assert!(text[1..].parse::<Fingerprint>().is_err());
    assert!("é".repeat(32).parse::<Fingerprint>().is_err());
}

#[test]
fn install_format_is_half_only_when_nothing_is_lost() {
    let exact = checkpoint(&[("a", &[3], vec![0.5, -0.0, 65504.0])]).to_safetensors().expect("bytes");
    let fine = checkpoint(&[("a", &[3], vec![0.5, 0.1, 1.0]), ("b", &[1], vec![2.0])]).to_safetensors();
    let fine = fine.expect("bytes");
    assert!(exact.windows(5).any(|text| text == b"\"F16\""));
    assert!(!fine.windows(5).any(|text| text == b"\"F16\""));
    assert_eq!(values(&read(&exact), "a")[1].to_bits(), (-0.0f32).to_bits());
    assert_eq!(values(&read(&fine), "a"), [0.5, 0.1, 1.0]);
}

#[test]
fn install_format_has_the_same_bytes_whatever_it_was_read_from() {
    let written = |bytes| read(bytes).to_safetensors().expect("bytes");
    assert_eq!(written(TORCH), written(SAFETENSORS));
    assert_eq!(written(&written(TORCH)), written(TORCH));
}

#[test]
fn folded_constants_of_a_graph_get_their_tensors_back() {
    let row = |from: usize, count: usize| (from..from + count).map(|i| i as f32).collect::<Vec<_>>();
    let graph = model(&[
        node("/encoder.0/dconv/layers.0/layers.0.1/Mul", "Mul", "onnx::Mul_1"),
        node("/encoder.0/dconv/layers.0/layers.0.1/Add", "Add", "onnx::Add_2"),
        node("/encoder.0/dconv/layers.0/layers.0.6/Mul", "Mul", "onnx::Mul_3"),
        node("/crosstransformer/layers.0/linear1/MatMul", "MatMul", "onnx::MatMul_4"),
        node("/crosstransformer/layers.0/self_attn/MatMul", "MatMul", "onnx::MatMul_5"),
        node("/crosstransformer/layers.1/cross_attn/MatMul_1", "MatMul", "onnx::MatMul_7"),
        node("/crosstransformer/layers.1/cross_attn/MatMul", "MatMul", "onnx::MatMul_6"),
        node("/crosstransformer/layers.1/cross_attn/Add", "Add", "onnx::Add_8"),
        node("/crosstransformer/layers.1/cross_attn/Add_1", "Add", "onnx::Add_9"),
        node("/Expand", "Expand", "onnx::Expand_10"),
        initialiser("onnx::Mul_1", &[2, 1], &[1.0, 2.0]),
        initialiser("onnx::Add_2", &[2, 1], &[3.0, 4.0]),
        initialiser("onnx::Mul_3", &[2, 1], &[5.0, 6.0]),
        initialiser("onnx::MatMul_4", &[2, 3], &row(0, 6)),
        initialiser("onnx::MatMul_5", &[2, 6], &row(0, 12)),
        initialiser("onnx::MatMul_6", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
        initialiser("onnx::MatMul_7", &[2, 4], &row(10, 8)),
        initialiser("onnx::Add_8", &[2], &[1.0, 2.0]),
        initialiser("onnx::Add_9", &[4], &[3.0, 4.0, 5.0, 6.0]),
        initialiser("onnx::Expand_10", &[1, 2, 3, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 0.333_251_95]),
    ]);
    let checkpoint = read(&graph);
    let expected: [(&str, &[usize], &[f32]); 8] = [
        ("encoder.0.dconv.layers.0.1.weight", &[2], &[1.0, 2.0]),
        ("encoder.0.dconv.layers.0.1.bias", &[2], &[3.0, 4.0]),
        ("encoder.0.dconv.layers.0.6.scale", &[2], &[5.0, 6.0]),
        ("crosstransformer.layers.0.linear1.weight", &[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
        (
            "crosstransformer.layers.0.self_attn.in_proj_weight",
            &[6, 2],
            &[0.0, 6.0, 1.0, 7.0, 2.0, 8.0, 3.0, 9.0, 4.0, 10.0, 5.0, 11.0],
        ),
        (
            "crosstransformer.layers.1.cross_attn.in_proj_weight",
            &[6, 2],
            &[1.0, 3.0, 2.0, 4.0, 10.0, 14.0, 11.0, 15.0, 12.0, 16.0, 13.0, 17.0],
        ),
        ("crosstransformer.layers.1.cross_attn.in_proj_bias", &[6], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        ("freq_emb.embedding.weight", &[3, 2], &[0.1, 0.4, 0.2, 0.5, 0.3, half(0.033_325_195)]),
    ];
    for (name, shape, wanted) in expected {
        assert_eq!(checkpoint.tensors[name].dims(), shape, "{name}");
        assert_eq!(values(&checkpoint, name), wanted, "{name}");
    }
    assert_eq!(checkpoint.tensors.len(), 8);
    assert_eq!(checkpoint.kwargs["dconv_mode"], json!(3), "the graph gets the arguments of 955717e8");
}

/// The value of half precision next to `value`, widened.
fn half(value: f32) -> f32 {
    let exact = Tensor::new(value, &Device::Cpu).and_then(|tensor| {
        tensor.to_dtype(candle_core::DType::F16)?.to_dtype(candle_core::DType::F32)?.to_scalar()
    });
    exact.expect("a scalar")
}

#[test]
fn containers_are_told_apart_by_content() {
    assert_eq!(Container::of(TORCH).ok(), Some(Container::Torch));
    assert_eq!(Container::of(SAFETENSORS).ok(), Some(Container::Safetensors));
    assert_eq!(Container::of(&model(&[])).ok(), Some(Container::Onnx));
    assert!(refusal(LEGACY).contains("before version 1.6"));
    assert_eq!(
        refusal(b"RIFF....WAVE"),
        "not a checkpoint: neither safetensors, nor a torch zip, nor an exported graph (12 bytes)"
    );
    assert!(refusal(b"").contains("not a checkpoint"));
}

#[test]
fn debug_output_does_not_print_the_weights() {
    let text = format!("{:?}", read(TORCH));
    assert_eq!(text, r#"Checkpoint { sources: ["drums", "vocals"], tensors: 3, parameters: 48, .. }"#);
}
