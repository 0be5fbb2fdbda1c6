function mpc = solved
% A low ratio and a held voltage near 1.9 pu: Newton's method finds the state from VM and VA, not from a flat start.
mpc.version = '2';
mpc.baseMVA = 1;
mpc.bus = [
    1  3  0    0  0  0  1  1      0       110  1  3  0.5;
    2  1  0    0  0  0  1  1.884  -6.5    110  1  3  0.5;
    3  1  1.3  1  0  0  1  1.592  -15.3   110  1  3  0.5;
    4  2  0    0  0  0  1  1.93   -9.9    110  1  3  0.5;
];
mpc.gen = [
    1  0     0  10  -10  1     1  1  10  0;
    4  -1.7  0  10  -10  1.93  1  1  10  0;
];
mpc.branch = [
    1  2  0.014  0.14  0  0  0  0  0.51  0  1;
    2  3  0.038  0.38  0  0  0  0  0     0  1;
    2  4  0.012  0.12  0  0  0  0  0     0  1;
];
