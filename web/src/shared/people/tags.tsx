import { Tag, Tooltip } from "antd";
import { useTranslation } from "react-i18next";
import type { Schemas } from "../api/client";

type Role = Schemas["Role"];
export const ROLES: Role[] = ["operator", "miner", "renter"];
const COLOURS: Record<Role, string | undefined> = { operator: "volcano", miner: "geekblue", renter: undefined };

export function RoleTags({ roles }: { roles: Role[] }) {
  const { t } = useTranslation();
  return (
    <span className="tags">
      {roles.map((role) => (
        <Tag key={role} color={COLOURS[role]} style={{ marginInlineEnd: 0 }}>
          {t(`role.${role}`)}
        </Tag>
      ))}
    </span>
  );
}

export function GroupTags({ groups }: { groups: { id: string; name: string }[] }) {
  return (
    <span className="tags breaking" style={{ maxWidth: 260 }}>
      {groups.map((group) => (
        <Tag key={group.id} style={{ marginInlineEnd: 0 }}>
          {group.name}
        </Tag>
      ))}
    </span>
  );
}

/** Whether a user may log in, and if not, why. */
export function UserStatusTag({ user }: { user: Schemas["UserOut"] }) {
  const { t } = useTranslation();
  const tag = (
    <Tag color={user.status === "active" ? "green" : "blue"} style={{ marginInlineEnd: 0 }}>
      {t(`userStatus.${user.status}`)}
    </Tag>
  );
  if (!user.frozen_reason) return tag;
  return <Tooltip title={t("users.frozenWhy", { reason: user.frozen_reason })}>{tag}</Tooltip>;
}
