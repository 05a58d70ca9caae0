import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

/** With these a page may share memory with workers, so that all cores compute; without them one does. */
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}

export default defineConfig({
  base: './',
  // the two embedded models, as ./encoder and ./generator
  publicDir: fileURLToPath(new URL('../../models', import.meta.url)),
  server: { headers },
  preview: { headers },
  build: {
    target: 'esnext',
    outDir: fileURLToPath(new URL('../../out/browser-example', import.meta.url)),
    emptyOutDir: true,
  },
})
