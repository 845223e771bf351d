import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** One configuration, two ends: `--mode admin` and `--mode console`, each under a base of its own. */
export default defineConfig(({ mode }) => {
  const end = mode === "admin" ? "admin" : "console";
  const edge = process.env.UTCLOUD_EDGE ?? "http://localhost:8080";
  return {
    root: mode === "test" ? here("./") : here(`src/${end}`),
    base: `/${end}/`,
    publicDir: here("public"),
    cacheDir: here("node_modules/.vite"),
    resolve: { alias: { "@shared": here("src/shared") } },
    build: {
      outDir: here(`dist/${end}`),
      emptyOutDir: true,
      target: "es2022",
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      chunkSizeWarningLimit: 2000,
      reportCompressedSize: false,
      rolldownOptions: {
        onLog: (level, log, report) => log.code !== "MODULE_LEVEL_DIRECTIVE" && report(level, log),
      },
    },
    server: { proxy: { "/api": { target: edge, changeOrigin: true, headers: { Origin: edge } } } },
    test: {
      // Rules need no page; pages are drawn in one window after the other, so that antd is loaded once a worker.
      maxWorkers: availableParallelism(),
      projects: [
        { extends: true, test: { name: "rules", include: ["src/**/*.test.ts"], environment: "node" } },
        {
          extends: true,
          // Uploads as browsers send them.
          resolve: { alias: { "tus-js-client": here("node_modules/tus-js-client/lib.esm/browser/index.js") } },
          test: {
            name: "pages",
            server: { deps: { inline: ["tus-js-client"] } },
            include: ["src/**/*.test.tsx"],
            environment: "happy-dom",
            environmentOptions: { happyDOM: { url: "http://localhost:8080/" } },
            setupFiles: here("src/test/setup.ts"),
            isolate: false,
            // In a "test" antd gives everything the same id: Esc would not find the window on top.
            env: { NODE_ENV: "development" },
            // No test waits on real time: one that takes long stands on a busy machine.
            testTimeout: 60_000,
          },
        },
      ],
    },
  };
});
