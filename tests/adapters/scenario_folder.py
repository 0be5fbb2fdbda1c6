"""The swap hour, worked by hand, as the texts of a scenario folder."""

from pathlib import Path

Texts = dict[str, str]

HOURS = [f"2026-01-15T{hour:02}:00+01:00" for hour in range(24)]
NOON, ONE = HOURS[12], HOURS[13]
FORECAST_MW = {"W1": 40, "W2": 30, "W3": 30, "BESS": 0, "Boiler": 0, "Load": -20}


def swap_hour() -> Texts:
    """Three wind farms behind an export limit of 60 MW; one hour is congested, the others are calm."""
    forecast = [f"{hour},{name},{power}000000," for name, power in FORECAST_MW.items() for hour in HOURS]
    return {
        "scenario.toml": (
            'name = "Swap hour"\ndelivery_day = 2026-01-15\ntimezone = "Europe/Stockholm"\nmtu_minutes = 60\n'
            'currency = "SEK"\n\n[rulebook]\npriority = "price_time"\n'
        ),
        "organisations.csv": "organisation,role,parent\nRegion,REGIONAL_DSO,\nVind,FSP,Region\nFlex,AGGREGATOR,\n",
        "resources.csv": (
            "resource,fsp,bus,kind,p_min_w,p_max_w,conditional,agreement_date,cost\n"
            "W1,Vind,,wind,0,40000000,true,2019-05-01,\n"
            "W2,Vind,,wind,0,30000000,true,2020-05-01,12.50\n"
            "W3,Vind,,wind,0,30000000,TRUE,,-1\n"
            "BESS,Flex,,battery,-5000000,5000000,false,,\n"
            "Boiler,Flex,,boiler,-10000000,0,,,\n"
            "Load,Flex,,load,-20000000,-20000000,,,\n"
        ),
        "forecast.csv": "\n".join(["from,resource,p_w,q_var", *forecast]) + "\n",
        "congestion_points.csv": "congestion_point,element,direction,limit_w\nExport,T1,export,60000000\n",
        "impact_factors.csv": (
            "congestion_point,resource,ppm\n" + "".join(f"Export,{name},1000000\n" for name in FORECAST_MW)
        ),
        "allocations.csv": (f"resource,from,obligation_w\nW1,{NOON},8000000\nW2,{NOON},6000000\nW3,{NOON},6000000\n"),
        "orders.csv": (
            "order,arrival,resource,side,from,to,quantity_w,price\n"
            f"A,1,W3,SELL,{NOON},{ONE},10000000,250\n"
            f"B,2,BESS,SELL,{NOON},{ONE},3000000,300\n"
            f"C,3,W1,BUY,{NOON},{ONE},8000000,420\n"
            f"D,4,Boiler,SELL,{NOON},{ONE},5000000,180\n"
            f"E,5,W2,BUY,{NOON},{ONE},6000000,300\n"
        ),
    }


def folder_of(texts: Texts, folder: Path) -> Path:
    """The texts as files of `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    return folder
