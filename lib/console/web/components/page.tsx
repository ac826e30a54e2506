/* The head of a page. Its title takes the focus when the page changes, so that a screen reader says where one is. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Icon } from './icon.tsx';

interface PageProps {
  readonly title: ComponentChildren;
  /** The title as text, for the window. */
  readonly name: string;
  readonly back?: { readonly href: string; readonly text: string };
  /** Beside the title: states. */
  readonly beside?: ComponentChildren;
  readonly lead?: ComponentChildren;
  readonly children: ComponentChildren;
}

let first = true;

export function Page({ title, name, back, beside, lead, children }: PageProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${name} – Conclave`;
  }, [name]);
  useEffect(() => {
    // Whoever has just opened the console begins at its beginning.
    if (!first) heading.current?.focus();
    first = false;
  }, []);
  return (
    <div class="page">
      <header class="page-head">
        {back !== undefined && (
          <a class="back" href={back.href}>
            <Icon name="back" />
            {back.text}
          </a>
        )}
        <div class="page-title">
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {beside}
        </div>
        {lead !== undefined && <div class="lead">{lead}</div>}
      </header>
      {children}
    </div>
  );
}
