from fsmde_core.tables import table


def test_columns_stand_below_each_other_and_numbers_stay_as_they_are():
    lines = table(["name", "value"], [["a", "1.50"], ["longer", ""]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [line.strip("|").split("|")[1].strip() for line in lines[2:]] == ["1.50", ""]


def test_a_table_without_rows_has_its_head():
    assert table(["name", "value"], []).startswith("| name")
