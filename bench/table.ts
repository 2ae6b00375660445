// Figures as text: the middle of a list, and columns that line up.

/** The middle value, or the mean of the two in the middle. `values` is not empty. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Lines of equally wide columns; the first row is the header. Columns of numbers stand to the right. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const columns = rows[0]!.length
  const widths = Array.from({ length: columns }, (_, column) => Math.max(...rows.map(row => row[column]!.length)))
  const numeric = Array.from({ length: columns }, (_, column) =>
    rows.slice(1).every(row => /^[\d.,]*$/.test(row[column]!)),
  )
  return rows.map(row =>
    row
      .map((cell, column) => (numeric[column]! ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd(),
  )
}
