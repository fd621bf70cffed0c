import { useId } from 'react'

export default function Field({ label, problem, children, ...input }) {
  const id = useId()

  return (
    <div>
      <label htmlFor={id} className="mb-1.5 block text-sm font-medium">
        {label}
      </label>
      <div
        data-problem={problem ? '' : undefined}
        className="flex items-center rounded-xl border border-line bg-surface pr-1.5 shadow-sm transition focus-within:border-accent focus-within:ring-4 focus-within:ring-accent/15 data-problem:border-danger data-problem:ring-danger/15"
      >
        <input
          id={id}
          aria-invalid={Boolean(problem)}
          aria-describedby={problem ? `${id}-problem` : undefined}
          className="h-12 min-w-0 grow bg-transparent px-4 outline-none placeholder:text-muted/60"
          {...input}
        />
        {children}
      </div>
      {problem && (
        <p id={`${id}-problem`} className="mt-1.5 animate-enter text-sm text-danger">
          {problem}
        </p>
      )}
    </div>
  )
}
