export default function Aside() {
  return (
    <aside className="relative hidden overflow-hidden bg-accent p-12 text-on-accent lg:flex lg:flex-col lg:justify-between">
      <div aria-hidden="true" className="absolute inset-0 opacity-10">
        <div className="absolute -top-32 -right-24 size-[28rem] rounded-full border-[3rem] border-current" />
        <div className="absolute -bottom-40 -left-32 size-[34rem] rounded-full border-[3rem] border-current" />
      </div>
      <p className="relative flex items-center gap-3 text-lg font-semibold">
        <span className="grid size-9 place-items-center rounded-xl bg-on-accent text-accent">◐</span>
        Harbour
      </p>
      <figure className="relative max-w-md">
        <blockquote className="text-3xl leading-snug font-medium text-balance">
          “It is the first tool our whole crew opens in the morning.”
        </blockquote>
        <figcaption className="mt-6 opacity-80">Mara Lindqvist, harbour master</figcaption>
      </figure>
    </aside>
  )
}
