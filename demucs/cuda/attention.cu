// Attention: a block has a tile of queries of one head in registers and goes through all keys and values, a tile at a time,
// while the next tile is on its way to the other half of shared memory. Scores never leave registers; sums are scaled down
// whenever a higher score comes.
#include "attention_f16.cuh"
#include "attention_f32.cuh"
#include "elements.cuh"

namespace attention {

constexpr int THREADS = 128;
constexpr float LOG2_E = 1.44269504f;

// Begins to copy ROWS tokens from `first` on; those behind the last are copies of it.
template <int ROWS, int HEAD, class T>
DEVICE void bring(T *shared, int row_length, const T *from, int stride, int first, int tokens) {
    constexpr int RUN = 16 / sizeof(T), RUNS = HEAD / RUN;
    static_assert(ROWS * RUNS % THREADS == 0, "each thread has as many runs as all others");
    UNROLL for (int i = 0; i < ROWS * RUNS / THREADS; i++) {
        const int at = i * THREADS + threadIdx.x, row = at / RUNS, run = at % RUNS * RUN;
        const int64_t token = min(first + row, tokens - 1);
        copy_async16(shared + row * row_length + run, from + token * stride + run);
    }
}

// The softmax so far of the two rows of each strip that a lane has a quarter of.
template <int STRIPS> struct Softmax {
    float highest[STRIPS][2], total[STRIPS][2];

    DEVICE Softmax() {
        UNROLL for (int i = 0; i < 2 * STRIPS; i++) {
            highest[i / 2][i % 2] = -INFINITY;
            total[i / 2][i % 2] = 0;
        }
    }

    // Scores to weights, and what the sums of earlier tiles are to be multiplied by beside these.
    template <int N> DEVICE void soften(float (&scores)[STRIPS][N][4], float (&gains)[STRIPS][2], float scale) {
        UNROLL for (int i = 0; i < 2 * STRIPS; i++) {
            const int strip = i / 2, row = i % 2;
            float most = max(scores[strip][0][row * 2], scores[strip][0][row * 2 + 1]);
            UNROLL for (int n = 1; n < N; n++)
                most = max(most, max(scores[strip][n][row * 2], scores[strip][n][row * 2 + 1]));
            most = max(most, shuffle_xor(most, 1));
            most = max(most, shuffle_xor(most, 2));
            most = max(highest[strip][row], most * scale);
            gains[strip][row] = power_of_two(highest[strip][row] - most);
            highest[strip][row] = most;

            float sum = 0;
            UNROLL for (int n = 0; n < N; n++) {
                UNROLL for (int c = row * 2; c < row * 2 + 2; c++) {
                    scores[strip][n][c] = power_of_two(scores[strip][n][c] * scale - most);
                    sum += scores[strip][n][c];
                }
            }
            total[strip][row] = total[strip][row] * gains[strip][row] + sum;
        }
    }

    // What the sums of a row are multiplied by in the end.
    DEVICE float share(int strip, int row) const {
        float sum = total[strip][row];
        sum += shuffle_xor(sum, 1);
        sum += shuffle_xor(sum, 2);
        return 1 / sum;
    }
};

template <int HEAD, class Tile> DEVICE void attend(const Attention &args) {
    using T = typename Tile::Element;
    constexpr int QUERIES = Tile::QUERIES, KEYS = Tile::KEYS, STRIPS = Tile::STRIPS;
    constexpr int STAGE = KEYS * (Tile::KEY_ROW + Tile::VALUE_ROW);
    static_assert(QUERIES * Tile::QUERY_ROW <= STAGE, "queries come through the second stage");
    static_assert(QUERIES == THREADS / 32 * STRIPS * 16, "each warp has its strips");

    const int first_query = blockIdx.x * QUERIES, head = blockIdx.y * HEAD, segment = blockIdx.z;
    const T *queries = static_cast<const T *>(args.queries) + segment * args.query_batch + head;
    const T *keys = static_cast<const T *>(args.keys) + segment * args.key_batch + head;
    const T *values = static_cast<const T *>(args.values) + segment * args.key_batch + head;
    T *shared = reinterpret_cast<T *>(shared_memory());
    const auto bring_tile = [&](T *stage, int first) {
        bring<KEYS, HEAD>(stage, Tile::KEY_ROW, keys, args.key_token, first, args.key_tokens);
        bring<KEYS, HEAD>(stage + KEYS * Tile::KEY_ROW, Tile::VALUE_ROW, values, args.key_token, first, args.key_tokens);
        copy_commit();
    };

    bring<QUERIES, HEAD>(shared + STAGE, Tile::QUERY_ROW, queries, args.query_token, first_query, args.query_tokens);
    bring_tile(shared, 0);
    copy_wait<0>();
    sync();
    Tile tile;
    tile.take_queries(shared + STAGE);
    Softmax<STRIPS> softmax;
    float sums[STRIPS][HEAD / 8][4] = {};
    const int lane = threadIdx.x % 32;
    for (int first = 0, stage = 0; first < args.key_tokens; first += KEYS, stage ^= 1) {
        copy_wait<0>();
        sync();
        if (first + KEYS < args.key_tokens) bring_tile(shared + (stage ^ 1) * STAGE, first + KEYS);

        const T *tile_keys = shared + stage * STAGE;
        float scores[STRIPS][KEYS / 8][4] = {};
        tile.score(scores, tile_keys);
        if (first + KEYS > args.key_tokens) {
            UNROLL for (int strip = 0; strip < STRIPS; strip++)
                UNROLL for (int n = 0; n < KEYS / 8; n++)
                    UNROLL for (int i = 0; i < 4; i++)
                        if (first + n * 8 + lane % 4 * 2 + i % 2 >= args.key_tokens) scores[strip][n][i] = -INFINITY;
        }
        float gains[STRIPS][2];
        softmax.soften(scores, gains, args.scale * LOG2_E);
        Tile::weigh(sums, gains, scores, tile_keys + KEYS * Tile::KEY_ROW);
    }

    T *output = static_cast<T *>(args.output) + segment * args.output_batch + head + lane % 4 * 2;
    UNROLL for (int i = 0; i < 2 * STRIPS; i++) {
        const int strip = i / 2, row = i % 2;
        const int query = first_query + (threadIdx.x / 32 * STRIPS + strip) * 16 + row * 8 + lane / 4;
        const float share = softmax.share(strip, row);
        if (query >= args.query_tokens) continue;
        T *to = output + static_cast<int64_t>(query) * args.output_token;
        UNROLL for (int n = 0; n < HEAD / 8; n++)
            store(to + n * 8, {sums[strip][n][row * 2] * share, sums[strip][n][row * 2 + 1] * share});
    }
}

} // namespace attention

// Grid: query_tokens / 128 (f16) or 64 (f32), rounded up; heads; B. Shared memory: 512 * (HEAD + 8) bytes (f16) or
// 512 * (HEAD + 6) bytes (f32).
#define ATTENTION(HEAD)                                                                                              \
    KERNEL(attention_f16_##HEAD, Attention, attention::THREADS, 2) {                                                 \
        attention::attend<HEAD, attention::Halves<HEAD>>(args);                                                      \
    }                                                                                                                \
    KERNEL(attention_f32_##HEAD, Attention, attention::THREADS, 2) {                                                 \
        attention::attend<HEAD, attention::Floats<HEAD>>(args);                                                      \
    }
ATTENTION(16)
ATTENTION(32)
ATTENTION(48)
ATTENTION(64)
