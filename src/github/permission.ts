/** GitHub names permissions with `_`, workflows write them with `-`. */
function spell(permission: string): string {
  const [name = "", access = ""] = permission.trim().split("=");
  return `\`${name.replaceAll("_", "-")}: ${access}\``;
}

/**
 * What `permissions:` of the job lacks, out of the header `X-Accepted-GitHub-Permissions`: `;` separates sets of which
 * one suffices, `,` the members of a set.
 */
export function describeAcceptedPermissions(header: string): string {
  return header
    .split(";")
    .map((set) =>
      set
        .split(",")
        .filter((part) => part.trim() !== "")
        .map(spell)
        .join(" and "),
    )
    .filter((set) => set !== "")
    .join(" or ");
}
