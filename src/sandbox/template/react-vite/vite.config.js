import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [react(), tailwindcss()],
  // The preview is reached at exactly this address, from inside the sandbox only.
  server: { host: '127.0.0.1', port: 5173, strictPort: true },
})
