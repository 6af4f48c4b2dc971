//! What a predictor leaves over, in partitioned Rice codes. Source: RFC 9639, section 9.2.7.

use super::bits::Bits;

/// Partitions are halved at most this often.
const MAX_ORDER: u32 = 6;

/// Largest parameter of the code with four-bit parameters.
const MAX_SHORT: u32 = 14;

/// Largest parameter of the code with five-bit parameters.
const MAX_LONG: u32 = 30;

/// How a residual is coded best, and how many bits that takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// Parameter of each of `2^n` partitions.
    parameters: Vec<u32>,
    /// Exact size of the coded residual.
    pub(super) bits: u64,
}

/// Finds the cheapest code. `residual` starts behind the `order` warm-up samples of a block.
pub(super) fn plan(residual: &[i32], order: usize) -> Plan {
    let block = residual.len() + order;
    let fits = |n: &u32| block.is_multiple_of(1 << n) && (block >> n) > order;
    let finest = (1..=MAX_ORDER).take_while(fits).last().unwrap_or(0);
    // The partition is chosen by sums alone, which can be added up; only the parameters are tried out.
    let mut sums: Vec<(u64, u64)> =
        parts(residual, order, finest).map(|part| (part.len() as u64, sum(part))).collect();
    let mut best = (u64::MAX, 0);
    for n in (0..=finest).rev() {
        let bits = sums.iter().map(|(len, sum)| estimate(*len, *sum)).sum::<u64>() + (4 << n);
        best = best.min((bits, n));
        sums = sums.chunks(2).map(|pair| pair.iter().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))).collect();
    }
    split(residual, order, best.1)
}

/// About how many bits a partition takes.
fn estimate(len: u64, sum: u64) -> u64 {
    let parameter = parameter_of(len, sum);
    len * u64::from(parameter + 1) + (sum >> parameter)
}

/// The parameter at which an average value has a quotient of about one.
fn parameter_of(len: u64, sum: u64) -> u32 {
    (sum / len.max(1)).checked_ilog2().unwrap_or(0).min(MAX_LONG)
}

fn sum(part: &[i32]) -> u64 {
    part.iter().map(|value| u64::from(folded(*value))).sum()
}

/// Appends a residual as planned.
pub(super) fn write(bits: &mut Bits, residual: &[i32], order: usize, plan: &Plan) {
    let partition_order = plan.parameters.len().ilog2();
    let width = width(&plan.parameters);
    bits.put(width - 4, 2);
    bits.put(partition_order, 4);
    for (part, parameter) in parts(residual, order, partition_order).zip(&plan.parameters) {
        bits.put(*parameter, width);
        for value in part {
            let value = folded(*value);
            bits.put_unary(value >> parameter);
            bits.put(value, *parameter);
        }
    }
}

/// The code with `2^n` partitions.
fn split(residual: &[i32], order: usize, n: u32) -> Plan {
    let mut parameters = Vec::with_capacity(1 << n);
    let mut bits = 6;
    for part in parts(residual, order, n) {
        let (parameter, cost) = cheapest(part);
        parameters.push(parameter);
        bits += cost;
    }
    bits += u64::from(width(&parameters)) << n;
    Plan { parameters, bits }
}

/// Partitions of the block; the first one lacks the warm-up samples.
fn parts(residual: &[i32], order: usize, n: u32) -> impl Iterator<Item = &[i32]> {
    let size = (residual.len() + order) >> n;
    let (first, rest) = residual.split_at(size - order);
    std::iter::once(first).chain(rest.chunks_exact(size.max(1)))
}

/// The best parameter of one partition, and the bits of its values.
fn cheapest(part: &[i32]) -> (u32, u64) {
    let cost = |parameter: u32| {
        let unary: u64 = part.iter().map(|value| u64::from(folded(*value) >> parameter)).sum();
        unary + part.len() as u64 * u64::from(parameter + 1)
    };
    // The optimum lies at the logarithm of the mean or just below it.
    let guess = parameter_of(part.len() as u64, sum(part));
    [guess, guess.saturating_sub(1), (guess + 1).min(MAX_LONG)]
        .map(|parameter| (parameter, cost(parameter)))
        .into_iter()
        .min_by_key(|(_, cost)| *cost)
        .unwrap_or((0, 0))
}

/// Bits of each parameter.
fn width(parameters: &[u32]) -> u32 {
    if parameters.iter().all(|parameter| *parameter <= MAX_SHORT) { 4 } else { 5 }
}

/// Signed to unsigned: 0, -1, 1, -2, 2 and so on.
fn folded(value: i32) -> u32 {
    (value << 1 ^ value >> 31) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planned_size_is_the_written_size() {
        for (size, order) in [(4096, 0), (4096, 8), (33, 4), (1, 0), (1000, 2)] {
            let residual: Vec<i32> = (order..size).map(|i| (i as i32 % 17 - 8) << (i % 23)).collect();
            let plan = plan(&residual, order);
            let mut bits = Bits::default();
            write(&mut bits, &residual, order, &plan);
            let written = bits.bytes().len() as u64 * 8;
            assert!((written..written + 8).contains(&plan.bits), "{size} {order}: {} {written}", plan.bits);
        }
    }

    #[test]
    fn one_huge_value_does_not_blow_up_the_code() {
        let mut residual = vec![0; 4096];
        residual[1000] = 1 << 28;
        assert!(plan(&residual, 0).bits < 4096 * 24);
    }
}
