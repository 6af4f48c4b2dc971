//! What the kernels are given: the structures of `demucs/cuda/arguments.h`, which says what each of them means. An
//! address is that of [`super::Memory`]; 0 is none.
#![expect(missing_docs, reason = "arguments.h says it once")]

use std::fmt;

/// What a kernel is given.
///
/// # Safety
/// It lies in memory as a structure of `arguments.h` does.
pub unsafe trait Arguments: fmt::Debug + Send + Sync {}

/// Mirrors structures in the order of the header.
macro_rules! arguments {
    ($($name:ident { $($field:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Debug, Clone, Copy, Default, PartialEq)]
        #[repr(C)]
        pub struct $name {
            $(pub $field: $type,)*
        }

        // SAFETY: fields of the same types in the same order.
        unsafe impl Arguments for $name {}
    )*

    #[cfg(test)]
    const FIELDS: &[(&str, &[(&str, &str)])] =
        &[$((stringify!($name), &[$((stringify!($field), stringify!($type)),)*]),)*];
    };
}

arguments! {
    Layout { start: i64, batch: i64, row: i64, token: i64, rows: i32, tokens: i32 }
    Product {
        input: u64,
        from: Layout,
        offsets: u64,
        weights: u64,
        bias: u64,
        k: i32,
        columns: i32,
        batch: i32,
        group_tokens: i32,
        groups: i32,
        output: u64,
        to: Layout,
        steps: i32,
        step_columns: i32,
        along_rows: i32,
        before: i32,
        limit: i32,
        partials: u64,
        moments: u64,
        norm_weight: u64,
        norm_bias: u64,
        scale: u64,
        embedding: u64,
    }
    Attention {
        queries: u64,
        keys: u64,
        values: u64,
        output: u64,
        query_batch: i64,
        key_batch: i64,
        output_batch: i64,
        query_token: i32,
        key_token: i32,
        output_token: i32,
        query_tokens: i32,
        key_tokens: i32,
        heads: i32,
        scale: f32,
    }
    LayerNorm {
        stream: u64,
        moments: u64,
        group_weight: u64,
        group_bias: u64,
        weight: u64,
        bias: u64,
        added: u64,
        output: u64,
        batch: i32,
        tokens: i32,
        channels: i32,
        width: i32,
        epsilon: f32,
    }
    Moments { partials: u64, moments: u64, groups: i32, parts: i32, count: i64, deviation: i32, epsilon: f32 }
    Form { columns: u64, shift: u64, sums: u64, constants: u64, size: i32 }
    NormGelu {
        values: u64,
        moments: u64,
        weight: u64,
        bias: u64,
        form: Form,
        partials: u64,
        groups: i32,
        group_tokens: i32,
        width: i32,
    }
    Sums { values: u64, partials: u64, count: i64, groups: i32, parts: i32 }
    Analyze {
        mix: u64,
        window: u64,
        twiddles: u64,
        spectrum: u64,
        partials: u64,
        batch: i32,
        samples: i32,
        frames: i32,
        nfft: i32,
    }
    SpectrumIn { spectrum: u64, moments: u64, grid: u64, to: Layout, batch: i32, bins: i32, stride: i32 }
    SamplesIn { mix: u64, moments: u64, line: u64, to: Layout, batch: i32, samples: i32 }
    Synthesize {
        grid: u64,
        from: Layout,
        moments: u64,
        window: u64,
        twiddles: u64,
        frames: u64,
        batch: i32,
        sources: i32,
        nfft: i32,
    }
    Overlap {
        frames: u64,
        line: u64,
        from: Layout,
        moments: u64,
        output: u64,
        batch: i32,
        sources: i32,
        samples: i32,
        frame_count: i32,
        nfft: i32,
    }
}

#[cfg(test)]
mod tests {
    use super::FIELDS;

    /// Structures of the header: fields with their types as they are called here.
    fn header() -> Vec<(String, Vec<(String, &'static str)>)> {
        let lines = include_str!("../../cuda/arguments.h").lines();
        let code: String = lines.map(|line| line.split("//").next().unwrap_or_default()).collect();
        let bodies = code.split("struct ").skip(1).filter_map(|text| text.split_once('{'));
        let structures = bodies.map(|(name, rest)| {
            let declarations = rest.split('}').next().unwrap_or_default().split(';');
            let fields = declarations.filter(|declaration| !declaration.trim().is_empty()).flat_map(fields);
            (name.trim().to_owned(), fields.collect())
        });
        structures.collect()
    }

    /// Those of a declaration: one or several numbers, or one address.
    fn fields(declaration: &str) -> Vec<(String, &'static str)> {
        if let Some((_, name)) = declaration.split_once('*') {
            return vec![(name.trim().to_owned(), "u64")];
        }
        let (kind, names) = declaration.trim().split_once(' ').expect("a type and names");
        let kind = match kind {
            "int32_t" => "i32",
            "int64_t" => "i64",
            "float" => "f32",
            "Layout" => "Layout",
            "Form" => "Form",
            other => panic!("{other} has no twin here"),
        };
        names.split(',').map(|name| (name.trim().to_owned(), kind)).collect()
    }

    #[test]
    fn structures_are_those_of_the_header() {
        let ours = FIELDS.iter().map(|(name, fields)| {
            (String::from(*name), fields.iter().map(|(field, kind)| (String::from(*field), *kind)).collect())
        });
        assert_eq!(ours.collect::<Vec<(String, Vec<_>)>>(), header());
    }
}
