import { Tag } from "antd";
import { useTranslation } from "react-i18next";
import { useAddress } from "../address";
import { api, ok, type Schemas } from "../api/client";
import { said } from "../i18n/said";
import { Moment, Unc } from "../ui/bits";
import { type Column, ListPage } from "../ui/ListPage";
import { daysQuery, Period } from "./Period";
import { useWalletChoice, WalletFilter } from "./WalletFilter";

type Recharge = Schemas["RechargeOut"];

/** Whether machine hours were put in or taken out. */
export function Direction({ kind }: { kind: unknown }) {
  const { t } = useTranslation();
  return (
    <Tag color={kind === "deduct" ? "orange" : "green"}>
      {t(kind === "deduct" ? "recharges.deduct" : "recharges.recharge")}
    </Tag>
  );
}

/** Recharge records: money into and out of wallets by hand. */
export function Recharges({ everyone }: { everyone?: boolean }) {
  const { t } = useTranslation();
  const [since, setSince] = useAddress("since");
  const [until, setUntil] = useAddress("until");
  const choice = useWalletChoice(!everyone);
  const wallet_id = everyone ? undefined : (choice.id ?? choice.own?.id);
  const query = { wallet_id, ...daysQuery(since, until) };
  const owner: Column<Recharge>[] = everyone
    ? [{ title: t("wallet.owner"), dataIndex: "owner_name", sort: "owner_name" }]
    : [];
  const columns: Column<Recharge>[] = [
    { title: t("recharges.at"), dataIndex: "at", sort: "at", render: (at) => <Moment at={at} /> },
    ...owner,
    {
      title: t("recharges.kind"),
      dataIndex: "kind",
      render: (kind) => <Direction kind={kind} />,
    },
    {
      title: t("charges.amount"),
      dataIndex: "amount",
      align: "right",
      sort: "amount",
      render: (value) => <Unc value={value} strong />,
    },
    { title: t("recharges.note"), dataIndex: "note", render: (note) => said(note) },
    { title: t("recharges.by"), dataIndex: "actor_name" },
  ];
  return (
    <ListPage
      queryKey={["recharges", query]}
      load={(page) => ok(api.GET("/api/v1/recharges", { params: { query: { ...page, ...query } } }))}
      columns={columns}
      rowKey={(row) => row.id}
      file={{ path: "/api/v1/recharges", query }}
      filtered={Boolean(since)}
      searchable={Boolean(everyone)}
      filters={
        <>
          <WalletFilter choice={choice} fallback={choice.own?.id} />
          <Period
            value={[since, until]}
            onChange={(from, to) => {
              setSince(from);
              setUntil(to);
            }}
          />
        </>
      }
      empty={t(everyone ? "recharges.emptyMiner" : "recharges.empty")}
    />
  );
}
