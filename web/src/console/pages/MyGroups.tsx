import { api, MAX_ROWS, ok, type Schemas } from "@shared/api/client";
import { Members } from "@shared/people/Members";
import { QuotaCard } from "@shared/people/Quota";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { useQuery } from "@tanstack/react-query";
import { Card, Col, Empty, Flex, Row, Skeleton, Tag, Typography } from "antd";
import { useTranslation } from "react-i18next";

type Group = Schemas["GroupOut"];

/** The groups that one is in: who else is, and what they may use together. A manager changes the members here. */
export function MyGroups() {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery({
    queryKey: ["groups", "mine"],
    queryFn: () => ok(api.GET("/api/v1/groups", { params: { query: { mine: true, limit: MAX_ROWS } } })),
  });
  return (
    <section>
      <Typography.Title level={3} style={{ margin: 0 }}>
        {t("menu.myGroups")}
      </Typography.Title>
      <Typography.Paragraph type="secondary">{t("myGroups.about")}</Typography.Paragraph>
      {error && !data ? (
        <ErrorCard error={error} retry={refetch} />
      ) : !data ? (
        <Skeleton active />
      ) : data.items.length === 0 ? (
        <Empty description={t("myGroups.empty")} />
      ) : (
        <Flex vertical gap="middle">
          {data.items.map((group) => (
            <MyGroup key={group.id} group={group} />
          ))}
        </Flex>
      )}
    </section>
  );
}

function MyGroup({ group }: { group: Group }) {
  const { t } = useTranslation();
  const { data, error, refetch } = useQuery({
    queryKey: ["groups", "one", group.id],
    queryFn: () => ok(api.GET("/api/v1/groups/{group_id}", { params: { path: { group_id: group.id } } })),
  });
  return (
    <Card
      title={group.name}
      extra={group.my_role === "manager" && <Tag color="geekblue">{t("groups.manager")}</Tag>}
      styles={{ title: { whiteSpace: "normal" } }}
    >
      {(group.description || group.my_role === "manager") && (
        <Typography.Paragraph type="secondary">
          {[group.description, group.my_role === "manager" && t("groups.managed")].filter(Boolean).join(" · ")}
        </Typography.Paragraph>
      )}
      <Row gutter={[16, 16]}>
        <Col xs={24} xl={14}>
          {error && !data ? (
            <ErrorCard error={error} retry={refetch} />
          ) : data ? (
            <Members group={data} />
          ) : (
            <Skeleton active />
          )}
        </Col>
        <Col xs={24} xl={10}>
          <QuotaCard subject={{ kind: "group", id: group.id, name: group.name }} canChange={false} />
        </Col>
      </Row>
    </Card>
  );
}
