// Runs generated modules in Node. A JSON list of jobs comes on standard input, a list of answers goes to standard output.
//
// A job: {model, inputs, outputs, samples, rounds}: the module; a file with the bytes of all inputs of all samples, one after the other; the file to
// write the outputs' bytes to. With `rounds`, so many batches of runs are timed, and the least time of one run is answered in milliseconds.
import { readFileSync, writeFileSync } from "node:fs";
import { runModule } from "./harness.mjs";

const answers = JSON.parse(readFileSync(0, "utf8")).map((job) => {
  try {
    const { outputs, ...answer } = runModule(readFileSync(job.model), readFileSync(job.inputs), job.samples, job.rounds ?? 0);
    if (outputs) writeFileSync(job.outputs, outputs);
    return answer;
  } catch (error) {
    return { error: String(error) };
  }
});
process.stdout.write(JSON.stringify(answers));
