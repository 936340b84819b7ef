import type { Json } from "./json.ts";

const DEFAULT_PAGE = 30;
const MAX_PAGE = 100;

/** One page of a list as GitHub cuts it, and the `Link` header that leads to the others. */
export function cutPage(
  items: Json[],
  wrap: string | undefined,
  url: URL,
): { body: Json; headers: Record<string, string> } {
  const size = Math.min(readPositive(url, "per_page") ?? DEFAULT_PAGE, MAX_PAGE);
  const page = readPositive(url, "page") ?? 1;
  const last = Math.max(1, Math.ceil(items.length / size));
  const cut = items.slice((page - 1) * size, page * size);
  const link = (target: number, rel: string) => {
    const there = new URL(url);
    there.searchParams.set("page", String(target));
    return `<${there}>; rel="${rel}"`;
  };
  const links = [
    ...(page > 1 ? [link(page - 1, "prev")] : []),
    ...(page < last ? [link(page + 1, "next"), link(last, "last")] : []),
    ...(page > 1 ? [link(1, "first")] : []),
  ];
  return {
    body: wrap === undefined ? cut : { total_count: items.length, [wrap]: cut },
    headers: links.length === 0 ? {} : { link: links.join(", ") },
  };
}

function readPositive(url: URL, name: string): number | undefined {
  const value = Number(url.searchParams.get(name) ?? "");
  return Number.isSafeInteger(value) && value > 0 ? value : undefined;
}
