/**
 * Tables. On a narrow screen each row becomes a block with the columns' names beside its cells; the roles are written out, because a table that is not
 * drawn as one is otherwise no table to screen readers.
 */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { focusIfLost } from "./lost-focus.ts";

export interface Column<Row> {
  /** Empty for a column of buttons. */
  label: string;
  cell: (row: Row) => ComponentChildren;
  /** A figure: to the right. */
  figure?: boolean;
}

export interface TableProps<Row> {
  /** What the table lists, for screen readers. */
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string | number;
  /** What stands there when there are no rows. */
  empty?: ComponentChildren;
}

export function Table<Row>({ label, columns, rows, rowKey, empty }: TableProps<Row>) {
  const wrap = useRef<HTMLDivElement>(null);
  // Whether the focus goes with a row is seen only by who had it before the rows are drawn anew.
  const hadFocus = wrap.current?.contains(document.activeElement) === true;
  useLayoutEffect(() => {
    if (hadFocus) focusIfLost(wrap.current);
  }, [rows]);
  if (rows.length === 0) return <>{empty ?? <p class="quiet">There is nothing here.</p>}</>;
  return (
    // Wide tables scroll by themselves; whatever scrolls must be reachable by the keyboard.
    <div ref={wrap} class="table-wrap" tabIndex={0} role="region" aria-label={label}>
      <table class="table table-rows" role="table" aria-label={label}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((column) => (
              <th
                key={column.label}
                role="columnheader"
                scope="col"
                class={column.figure === true ? "figure" : undefined}
              >
                {column.label === "" ? <span class="hidden-visually">Actions</span> : column.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row) => (
            <tr key={rowKey(row)} role="row">
              {columns.map((column) => (
                <td
                  key={column.label}
                  role="cell"
                  data-label={column.label}
                  class={column.figure === true ? "figure" : undefined}
                >
                  <CellContent>{column.cell(row)}</CellContent>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** One element per cell, so that the narrow layout has something to align. */
function CellContent({ children }: { children: ComponentChildren }) {
  return children === undefined || children === null || children === "" ? null : <div>{children}</div>;
}
