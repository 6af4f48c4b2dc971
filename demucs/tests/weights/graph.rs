//! A writer for graphs as small as a test needs.

/// One field of bytes. Source: protobuf.dev, "Encoding".
pub(crate) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    bytes.extend(varint(content.len()));
    bytes.extend_from_slice(content);
    bytes
}

/// One field of a number.
pub(crate) fn number(number: u8, value: usize) -> Vec<u8> {
    let mut bytes = vec![number << 3];
    bytes.extend(varint(value));
    bytes
}

/// An initialiser of `f32` values.
pub(crate) fn initialiser(name: &str, shape: &[usize], values: &[f32]) -> Vec<u8> {
    let mut tensor: Vec<u8> = shape.iter().flat_map(|dim| number(1, *dim)).collect();
    tensor.extend(number(2, 1));
    tensor.extend(field(8, name.as_bytes()));
    tensor.extend(field(9, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()));
    field(5, &tensor)
}

/// A node that uses a constant.
pub(crate) fn node(name: &str, operation: &str, constant: &str) -> Vec<u8> {
    let node = [field(1, b"/x"), field(1, constant.as_bytes()), field(2, b"/y")];
    field(1, &[node.concat(), field(3, name.as_bytes()), field(4, operation.as_bytes())].concat())
}

/// A model around the parts of a graph.
pub(crate) fn model(parts: &[Vec<u8>]) -> Vec<u8> {
    [number(1, 8), field(2, b"pytorch"), field(7, &parts.concat())].concat()
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
