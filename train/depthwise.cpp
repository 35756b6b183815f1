// Gradients of a depthwise convolution in bfloat16, channels last: sums in float32, sixteen channels at a time.
//
// oneDNN has no fast kernel for them in bfloat16; train/depthwise.py builds and calls these.
#include <cstdint>
#include <cstring>

namespace {

constexpr int LANES = 16;
typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));

inline Floats load(const uint16_t *from) {
    Halves halves;
    std::memcpy(&halves, from, sizeof halves);
    return (Floats)(__builtin_convertvector(halves, Words) << 16);
}

// Rounded to the nearest, ties to even, as torch rounds.
inline void store(uint16_t *to, Floats value) {
    Words bits = (Words)value;
    Halves halves = __builtin_convertvector((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, Halves);
    std::memcpy(to, &halves, sizeof halves);
}

template <int K>
void weight(const uint16_t *x, const uint16_t *g, float *out, const int *shape, int first, int last) {
    const int N = shape[0], H = shape[1], W = shape[2], C = shape[3], OH = shape[4], OW = shape[5], S = shape[6], P = K / 2;
    for (int c = first; c < last; c += LANES) {
        Floats sums[K * K] = {};
        for (int n = 0; n < N; n++)
            for (int oy = 0; oy < OH; oy++)
                for (int ox = 0; ox < OW; ox++) {
                    const Floats gradient = load(g + (((int64_t)n * OH + oy) * OW + ox) * C + c);
                    const int y = oy * S - P, z = ox * S - P;
                    const uint16_t *corner = x + (((int64_t)n * H + y) * W + z) * C + c;
                    if (y >= 0 && y + K <= H && z >= 0 && z + K <= W) {
#pragma GCC unroll 5
                        for (int i = 0; i < K; i++)
#pragma GCC unroll 5
                            for (int j = 0; j < K; j++) sums[i * K + j] += gradient * load(corner + ((int64_t)i * W + j) * C);
                    } else {
#pragma GCC unroll 5
                        for (int i = 0; i < K; i++)
#pragma GCC unroll 5
                            for (int j = 0; j < K; j++)
                                if (y + i >= 0 && y + i < H && z + j >= 0 && z + j < W)
                                    sums[i * K + j] += gradient * load(corner + ((int64_t)i * W + j) * C);
                    }
                }
        for (int k = 0; k < K * K; k++)
            for (int lane = 0; lane < LANES; lane++) out[(c + lane) * K * K + k] = sums[k][lane];
    }
}

template <int K, int S>
void input(const uint16_t *g, const float *w, uint16_t *out, const int *shape, int first, int last) {
    const int N = shape[0], H = shape[1], W = shape[2], C = shape[3], OH = shape[4], OW = shape[5], P = K / 2;
    for (int c = first; c < last; c += LANES) {
        Floats weights[K * K];
        for (int k = 0; k < K * K; k++)
            for (int lane = 0; lane < LANES; lane++) weights[k][lane] = w[(c + lane) * K * K + k];
        for (int n = 0; n < N; n++)
            for (int y = 0; y < H; y++)
                for (int z = 0; z < W; z++) {
                    Floats sum = {};
#pragma GCC unroll 5
                    for (int i = 0; i < K; i++) {
                        const int down = y + P - i;
                        if (down < 0 || down % S || down / S >= OH) continue;
                        const uint16_t *row = g + (((int64_t)n * OH + down / S) * OW) * C + c;
#pragma GCC unroll 5
                        for (int j = 0; j < K; j++) {
                            const int right = z + P - j;
                            if (right < 0 || right % S || right / S >= OW) continue;
                            sum += weights[i * K + j] * load(row + (int64_t)(right / S) * C);
                        }
                    }
                    store(out + (((int64_t)n * H + y) * W + z) * C + c, sum);
                }
    }
}

}  // namespace

// shape: N, H, W, C, rows and columns of the output, stride. Channels `first` to `last`, multiples of 16. K is 3 or 5.
extern "C" void gradient_of_weight(const uint16_t *x, const uint16_t *g, float *out, const int *shape, int k, int first, int last) {
    (k == 3 ? weight<3> : weight<5>)(x, g, out, shape, first, last);
}

extern "C" void gradient_of_input(const uint16_t *g, const float *w, uint16_t *out, const int *shape, int k, int first, int last) {
    if (shape[6] == 1)
        (k == 3 ? input<3, 1> : input<5, 1>)(g, w, out, shape, first, last);
    else
        (k == 3 ? input<3, 2> : input<5, 2>)(g, w, out, shape, first, last);
}
