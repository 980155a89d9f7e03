/* The program `cloister`. */
#ifndef CLO_CLI_H
#define CLO_CLI_H
#ifdef __cplusplus
extern "C" {
#endif

/** The whole program: `cloister NOUN VERB [ARGS]`; returns the exit code (0 success or a positive verdict, 1 a negative verdict
 * or refusal, 2 bad usage or malformed input, 3 a service or file could not be reached, 4 a limit). */
int clo_cli_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
