export default function App() {
  return (
    <main className="grid min-h-screen place-items-center bg-slate-50 p-6 text-slate-900 dark:bg-slate-950 dark:text-slate-100">
      <div className="max-w-sm text-center">
        <div className="mx-auto mb-6 grid size-16 place-items-center rounded-2xl bg-gradient-to-br from-indigo-500 to-violet-500 text-3xl text-white shadow-lg shadow-indigo-500/30">
          ✦
        </div>
        <h1 className="text-2xl font-semibold tracking-tight">Nothing built yet</h1>
        <p className="mt-3 leading-relaxed text-slate-500 dark:text-slate-400">
          Type a prompt and your app appears here, live, while it is being written.
        </p>
      </div>
    </main>
  )
}
