/* The same work as allreduce.rs with MPI: allreduce BYTES TURNS, one time in ms a line. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    MPI_Init(&argc, &argv);
    int rank, world;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &world);
    if (argc != 3) MPI_Abort(MPI_COMM_WORLD, 2);
    long len = atol(argv[1]) / 4;
    int turns = atoi(argv[2]);
    float *values = malloc(len * sizeof *values);
    if (!values) MPI_Abort(MPI_COMM_WORLD, 3);
    for (int turn = 0; turn <= turns; turn++) {
        for (long at = 0; at < len; at++) values[at] = 1;
        MPI_Barrier(MPI_COMM_WORLD);
        double start = MPI_Wtime();
        MPI_Allreduce(MPI_IN_PLACE, values, len, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        double took = MPI_Wtime() - start, longest;
        MPI_Reduce(&took, &longest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
        for (long at = 0; at < len; at++)
            if (values[at] != world) MPI_Abort(MPI_COMM_WORLD, 4);
        /* The first one touches the memory. */
        if (rank == 0 && turn > 0) printf("%f\n", longest * 1e3);
    }
    free(values);
    MPI_Finalize();
    return 0;
}
