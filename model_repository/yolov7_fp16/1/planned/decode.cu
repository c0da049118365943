// One thread a row of the output, after half.cuh and what `decoder` writes: ROWS, Maps and `row`.
#define ROW_VALUES 6

// outputs: float32 [batch, ROWS, 6].
KERNEL void decode(Maps maps, const float* k, float* outputs, int count) {
    EACH(index, count) {
        float values[ROW_VALUES];
        row(maps, k, index / ROWS, index % ROWS, values);
        for (int i = 0; i < ROW_VALUES; ++i) outputs[(long)index * ROW_VALUES + i] = values[i];
    }
}
